//! What a disk does to the file: power that goes, syncs that fail, a file system that turns
//! read-only.
//!
//! The process that writes is this test program itself, started again with a library before it that
//! stands between it and the disk (`shim.c`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are helpers of tests"
)]

mod acknowledged;
mod recording;
mod shim;
#[path = "../support/mod.rs"]
mod support;
mod writer;

use std::fs;
use std::path::Path;
use std::time::Duration;

use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

use crate::acknowledged::Acknowledged;
use crate::recording::{Disk, Recording};
use crate::support::{client, fresh_folder};
use crate::writer::Writer;

/// Moments at which the power goes.
const CUTS: usize = 200;

#[tokio::test]
async fn nothing_acknowledged_is_lost_with_the_power() {
    let folder = fresh_folder();
    let (files, log) = (folder.join("files"), folder.join("log"));
    fs::create_dir(&files).unwrap();
    assert!(Writer::start(&files, 1_500, Some(&log)).wait());
    let recording = Recording::read(&log);
    let seed = fastrand::u64(..);
    println!("seed {seed}, {} changes", recording.changes.len());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cuts: Vec<_> = std::iter::repeat_with(|| random.usize(..=recording.changes.len()))
        .take(CUTS)
        .collect();
    cuts.sort_unstable();
    let (mut disk, mut known, mut at) = (Disk::default(), Acknowledged::default(), 0);
    for cut in cuts {
        for change in &recording.changes[at..cut] {
            if change.path.ends_with(acknowledged::NAME) {
                known.read(&change.data);
            } else {
                disk.apply(change);
            }
        }
        at = cut;
        let left = folder.join("left");
        fs::create_dir(&left).unwrap();
        disk.lose_power(&mut random, &left);
        check(
            &left.join("webhooks.db"),
            &known,
            &format!("seed {seed}, cut {cut}"),
        )
        .await;
        fs::remove_dir_all(&left).unwrap();
    }
    assert!(known.delivered() >= 1_000, "{known:?}");
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn input_and_output_that_fail_pass() {
    faults("fails").await;
}

#[tokio::test]
async fn a_file_system_that_turns_read_only_passes() {
    faults("refuses").await;
}

/// Turns a fault on and off a few times while a process writes, which goes on after each.
async fn faults(name: &str) {
    let folder = fresh_folder();
    let mut writer = Writer::start(&folder, 1_500, None);
    let acknowledged = folder.join(acknowledged::NAME);
    let lines = || fs::read(&acknowledged).map_or(0, |text| text.len());
    let mut times = 0;
    while writer.runs() {
        // In the middle of something each time, and as long as nothing gets through.
        let before = lines();
        while lines() < before + 2_000 && writer.runs() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fs::write(folder.join(name), "").unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        fs::remove_file(folder.join(name)).unwrap();
        times += 1;
    }
    assert!(writer.wait() && times > 3, "{times} faults");
    let mut known = Acknowledged::default();
    known.read(&fs::read(&acknowledged).unwrap());
    assert!(known.delivered() >= 1_000, "{known:?}");
    check(&folder.join("webhooks.db"), &known, name).await;
    fs::remove_dir_all(&folder).unwrap();
}

/// Opens the file as a service does after a crash. All that was acknowledged is in it.
async fn check(path: &Path, known: &Acknowledged, when: &str) {
    let storage = SqliteStorage::open(path)
        .await
        .unwrap_or_else(|error| panic!("{when}: {error}"));
    let counts = storage.counts(None).await.unwrap();
    drop(storage);
    let client = client(path);
    let sound: String = client
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok", "{when}");
    let missing = known.missing(&client);
    assert!(missing.is_empty(), "{when}: {missing:?}");
    let rows: i64 = client
        .query_row("SELECT count(*) FROM webhook_queue", [], |row| row.get(0))
        .unwrap();
    assert_eq!(counts.enqueued, rows.cast_unsigned(), "{when}");
}

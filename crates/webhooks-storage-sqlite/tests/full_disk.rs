//! A disk without room: calls fail as something that passes, nothing is stored in part, and all goes
//! on when there is room.
//!
//! The disk is a small file system in memory. Where the test may not mount one, it runs again in a
//! namespace of its own, in which it may.

mod support;

use std::path::Path;
use std::process::Command;

use support::events::{endpoint, event};
use support::fresh_folder;
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

/// A file system in memory, taken away with the test.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let mount = mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(at);
        mount.status().ok()?.success().then(|| Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}

/// Set where the test runs again.
const IN_A_NAMESPACE: &str = "WEBHOOKS_TEST_IN_A_NAMESPACE";

#[tokio::test]
async fn a_full_disk_passes_when_there_is_room() {
    let folder = fresh_folder();
    let Some(small) = Small::mount(&folder) else {
        std::fs::remove_dir(&folder).unwrap();
        assert!(std::env::var(IN_A_NAMESPACE).is_err(), "nothing is mounted");
        let mut again = Command::new("unshare");
        again
            .args(["--map-root-user", "--mount"])
            .arg(std::env::current_exe().unwrap())
            .env(IN_A_NAMESPACE, "1");
        assert!(again.status().unwrap().success());
        return;
    };
    let storage = SqliteStorage::open(folder.join("webhooks.db"))
        .await
        .unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![0; 600 << 10]).unwrap();

    let body = vec![b'1'; 20_000];
    let mut stored = 0;
    let error = loop {
        match storage.enqueue(&[event("a", &body, now)], None, now).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_transient(), "{error}");
    assert_eq!(storage.counts(None).await.unwrap().enqueued, stored);

    std::fs::remove_file(&filler).unwrap();
    storage
        .enqueue(&[event("a", &body, now)], None, now)
        .await
        .unwrap();
    assert_eq!(storage.counts(None).await.unwrap().enqueued, stored + 1);
    drop(storage);
    drop(small);
    std::fs::remove_dir(&folder).unwrap();
}

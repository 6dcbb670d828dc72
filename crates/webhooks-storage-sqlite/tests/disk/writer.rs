//! The process that writes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::WorkerId;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::Settled;
use webhooks_storage_sqlite::SqliteStorage;

use crate::acknowledged::Notes;
use crate::shim;
use crate::support::events::{claim, delivered, endpoint, event};

const FOLDER: &str = "WEBHOOKS_DISK_FOLDER";
const LOG: &str = "WEBHOOKS_DISK_LOG";
const EVENTS: &str = "WEBHOOKS_DISK_EVENTS";
/// Tasks that send and deliver.
const TASKS: usize = 4;
const BATCH: usize = 10;

pub(crate) struct Writer(Child);

impl Writer {
    /// Starts a process that sends and settles so many events in this folder.
    pub(crate) fn start(folder: &Path, events: usize, log: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "writer::a_started_process_writes"]);
        command.env("LD_PRELOAD", shim::build(folder));
        command.env(FOLDER, folder).env(EVENTS, events.to_string());
        if let Some(log) = log {
            command.env(LOG, log);
        }
        Self(command.spawn().unwrap())
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Whether it has ended well.
    pub(crate) fn wait(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

/// The work of the process; nothing where none was started.
#[tokio::test(flavor = "multi_thread")]
async fn a_started_process_writes() {
    let (Ok(folder), Ok(events)) = (std::env::var(FOLDER), std::env::var(EVENTS)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let events: usize = events.parse().unwrap();
    let storage = Arc::new(
        SqliteStorage::open(folder.join("webhooks.db"))
            .await
            .unwrap(),
    );
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let notes = Arc::new(Notes::create(&folder));
    let tasks = [(); TASKS].map(|()| {
        let (storage, notes) = (Arc::clone(&storage), Arc::clone(&notes));
        tokio::spawn(async move { write(&storage, &notes, events / TASKS).await })
    });
    for task in tasks {
        task.await.unwrap();
    }
}

/// Sends, claims and settles; notes what was acknowledged. What fails is called again as it is.
async fn write(storage: &SqliteStorage, notes: &Notes, events: usize) {
    let worker = WorkerId::unique();
    let body = vec![b'1'; 4_096];
    let mut sent = 0;
    while sent < events {
        let now = again(|| storage.beat(None, None)).await.now;
        let batch: Vec<_> = (0..BATCH).map(|_| event("a", &body, now)).collect();
        again(|| storage.enqueue(&batch, None, now)).await;
        let made = batch.iter().flat_map(|event| &event.deliveries);
        notes.add("sent", made.map(|delivery| delivery.id));
        sent += BATCH;

        let claimed = again(|| async { storage.claim(&claim(&worker, BATCH, now)).await }).await;
        let settlements: Vec<_> = claimed.deliveries.iter().map(delivered).collect();
        let settled = again(|| storage.settle(&worker, &settlements, now)).await;
        let settled = settlements.iter().zip(settled);
        let applied = settled.filter(|(_, settled)| *settled == Settled::Applied);
        notes.add(
            "delivered",
            applied.map(|(settlement, _)| settlement.delivery_id),
        );
    }
}

/// Makes a call until it does not fail. No disk's failure may look like one that lasts.
async fn again<T, F: Future<Output = webhooks_core::Result<T>>>(call: impl Fn() -> F) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

//! Copies of a file that is in use.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::events::{endpoint, event};
use support::{fresh_path, remove};
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::test]
async fn a_backup_is_a_storage_of_its_own() {
    let path = fresh_path();
    let storage = SqliteStorage::open(&path).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    storage
        .enqueue(&[event("a", b"1", now)], None, now)
        .await
        .unwrap();
    let copy = path.with_file_name("copy.db");
    storage.backup(&copy).await.unwrap();
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    storage
        .enqueue(&[event("a", b"2", now)], None, now)
        .await
        .unwrap();

    let copied = SqliteStorage::open(&copy).await.unwrap();
    assert_eq!(copied.counts(None).await.unwrap().ready, 1);
    assert_eq!(storage.counts(None).await.unwrap().ready, 2);
    remove(&path);
}

#[tokio::test]
async fn a_backup_goes_over_no_file() {
    let path = fresh_path();
    let storage = SqliteStorage::open(&path).await.unwrap();
    let there = path.with_file_name("there");
    std::fs::write(&there, "mine").unwrap();
    storage.backup(&there).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "mine");
    storage
        .backup(path.with_file_name("no").join("folder"))
        .await
        .unwrap_err();
    remove(&path);
}

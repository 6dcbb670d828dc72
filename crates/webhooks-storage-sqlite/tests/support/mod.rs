//! A file of its own for each test, in a folder that is removed with it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "not every test file uses all of it"
)]

pub mod events;

use std::path::{Path, PathBuf};

use webhooks_storage_sqlite::SqliteStorage;

/// A folder that nobody else uses.
pub fn fresh_folder() -> PathBuf {
    let name = format!("webhooks-sqlite-{:016x}", fastrand::u64(..));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// The name of a file that is not there yet.
pub fn fresh_path() -> PathBuf {
    fresh_folder().join("webhooks.db")
}

pub async fn storage() -> SqliteStorage {
    SqliteStorage::open(fresh_path()).await.unwrap()
}

/// Removes the folder that the file of a test is in.
pub fn remove(path: &Path) {
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A connection as a user of the outbox has one.
pub fn client(path: &Path) -> rusqlite::Connection {
    let client = rusqlite::Connection::open(path).unwrap();
    client
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    client
}

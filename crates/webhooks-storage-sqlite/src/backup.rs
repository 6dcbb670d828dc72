//! Copies of the file while it is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::sync::oneshot;
use webhooks_core::{Result, WebhookError};

use crate::connection;
use crate::error::storage_error;

/// Writes a copy of the file at `from` to a file that is not there yet.
pub(crate) async fn backup(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let (done, copied) = oneshot::channel();
    // On a thread and a connection of its own: it may take minutes, in which readers have other calls.
    let thread = std::thread::Builder::new().name("webhooks-sqlite-backup".into());
    let spawned = thread.spawn(move || drop(done.send(copy(&from, &to))));
    spawned.map_err(|error| {
        WebhookError::transient_storage("sqlite: cannot start a thread", error).without_effect()
    })?;
    let panicked = || {
        Err(WebhookError::StorageError(
            "sqlite: writing a backup panicked".into(),
        ))
    };
    copied.await.unwrap_or_else(|_| panicked())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let Some(name) = to.to_str() else {
        let text = "the name of a backup is no unicode text";
        return Err(WebhookError::InvalidConfig(text.into()));
    };
    let db = connection::open(from)?;
    // Made first, for its owner alone; SQLite takes an empty file for none.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to);
    made.map_err(|error| failed(to, error))?;
    let copied = db.execute("VACUUM INTO ?1", [name]);
    let copied = copied.map_err(|error| storage_error("write a backup", &error).without_effect());
    let copied = copied.and_then(|_| sync(to).map_err(|error| failed(to, error)));
    if copied.is_err() {
        // Half a copy would look like one. It is our own: it was made above.
        std::fs::remove_file(to).unwrap_or_default();
    }
    copied
}

/// SQLite leaves it to the system when a copy gets to the disk.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn failed(path: &Path, error: io::Error) -> WebhookError {
    let text = format!("sqlite: cannot write {}", path.display());
    WebhookError::permanent_storage(text, error).without_effect()
}

//! Whose turn it is to write, among the processes on one file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A file beside the database, whose lock is the right to begin a transaction that writes.
///
/// SQLite's own way of waiting polls, and lets one of four processes starve. The kernel wakes who
/// waits for this lock, so that all of them have their turn. Whoever writes without it, such as a
/// user of the outbox, is safe all the same: it only serves to be fair.
#[derive(Debug)]
pub(crate) struct Turn {
    file: File,
}

impl Turn {
    pub(crate) fn open(database: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(database))?;
        Ok(Self { file })
    }

    /// Waits for the turn, which lasts until the answer is dropped.
    pub(crate) fn take(&self) -> io::Result<Taken<'_>> {
        loop {
            match flock(&self.file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Taken(self)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The turn, while it lasts.
#[derive(Debug)]
pub(crate) struct Taken<'a>(&'a Turn);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that is held; if it did, the end of the process would end it.
        flock(&self.0.file, FlockOperation::Unlock).unwrap_or_default();
    }
}

fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-turn");
    name.into()
}

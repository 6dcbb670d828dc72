//! Requests as files, for `webhooks verify --request`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use super::forward::is_of_webhooks;
use crate::failure::Failure;

/// A folder of requests. Its files are numbered: nothing of what was received names a file.
#[derive(Debug)]
pub(super) struct Save {
    directory: PathBuf,
    /// The number of the next one.
    next: AtomicU64,
}

impl Save {
    /// That folder.
    ///
    /// # Errors
    ///
    /// Exit code 2 for what is no folder.
    pub(super) fn new(directory: PathBuf) -> Result<Self, Failure> {
        match directory.is_dir() {
            true => Ok(Self {
                directory,
                next: AtomicU64::new(1),
            }),
            false => {
                let name = directory.display();
                Err(Failure::usage(format!(
                    "--save {name}: there is no such folder"
                )))
            }
        }
    }

    /// Keeps a request: the headers that are about it, an empty line, and the body byte by byte.
    pub(super) fn keep(&self, headers: &HeaderMap, body: &[u8]) -> std::io::Result<()> {
        let mut text = Vec::with_capacity(body.len() + 512);
        for (name, value) in headers.iter().filter(|(name, _)| is_of_webhooks(name)) {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.directory.join(format!("request-{number:04}.http"));
            // Those of an earlier run stay.
            match std::fs::File::create_new(path) {
                Ok(mut file) => return file.write_all(&text),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

use std::io;
use std::path::{Path, PathBuf};

use better_auth_webhooks::WorkerId;

/// Where the events are kept.
pub(crate) struct Database {
    path: PathBuf,
    /// Goes with it.
    folder: Option<PathBuf>,
}

impl Database {
    /// A file that stays.
    pub(crate) fn named(path: PathBuf) -> Self {
        Self { path, folder: None }
    }

    /// A file of this run alone.
    pub(crate) fn temporary() -> io::Result<Self> {
        // No number of a process, which comes again: what one that was killed has left must not be
        // met.
        let name = format!("webhooks-quickstart-{}", WorkerId::unique().as_str());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        Ok(Self {
            path: folder.join("webhooks.db"),
            folder: Some(folder),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What is left there is a matter of the system's own upkeep.
            std::fs::remove_dir_all(folder).unwrap_or_default();
        }
    }
}

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use webhooks_core::{EncryptionKeys, Result, Sealed, WebhookError};

use crate::document_store::SqliteDocuments;
use crate::plain_storage::PlainStorage;
use crate::readers::Readers;
use crate::sqlite_storage::SqliteStorage;
use crate::state::State;
use crate::surroundings::Surroundings;
use crate::turn::Turn;
use crate::writer::Writer;
use crate::{clock, connection, file, migrations};

/// Bytes of calls that wait for the writer at most, unless the builder says otherwise.
const QUEUED_BYTES: usize = 64 << 20;

/// Makes a [`SqliteStorage`].
#[must_use = "nothing is opened without `open`"]
pub struct SqliteBuilder {
    path: PathBuf,
    keys: EncryptionKeys,
    queued_bytes: usize,
}

impl SqliteStorage {
    /// Opens the file with this name, which is made if it is missing, and whose missing migrations
    /// are applied.
    ///
    /// # Errors
    ///
    /// As [`SqliteBuilder::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open().await
    }

    /// Begins a storage with settings.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder {
            path: path.as_ref().to_owned(),
            keys: EncryptionKeys::none(),
            queued_bytes: QUEUED_BYTES,
        }
    }
}

impl SqliteBuilder {
    /// Encrypts the secrets and the values of headers of endpoints: the first key encrypts, all
    /// decrypt. Defaults to none: then they are stored as they are, and a warning is logged.
    /// [`SqliteStorage::reencrypt`] encrypts what is there already.
    pub fn encryption_keys(mut self, keys: EncryptionKeys) -> Self {
        self.keys = keys;
        self
    }

    /// How many bytes of calls may wait to be written; what is over is
    /// [`Overloaded`](WebhookError::Overloaded). Defaults to 64 MiB.
    pub const fn queued_bytes(mut self, bytes: usize) -> Self {
        self.queued_bytes = bytes;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](WebhookError::InvalidConfig) for a file on a network file system, for a
    /// schema that this code cannot use, and for a SQLite library before 3.51.3;
    /// [`StorageError`](WebhookError::StorageError) when the file cannot be opened, is no database,
    /// or the keys open none of the endpoints that were changed first.
    pub async fn open(self) -> Result<SqliteStorage> {
        if self.keys.is_empty() {
            tracing::warn!(
                path = %self.path.display(),
                "secrets of endpoints are stored as they are: no encryption key is given"
            );
        }
        let (path, queued_bytes) = (self.path, self.queued_bytes);
        // On a thread of its own: it waits for other processes, and for the disk.
        let (done, opened) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("webhooks-sqlite-open".into());
        let spawned = thread.spawn(move || drop(done.send(open(&path, queued_bytes))));
        spawned.map_err(|error| {
            WebhookError::transient_storage("sqlite: cannot start a thread", error).without_effect()
        })?;
        let plain = opened.await.unwrap_or_else(|_| {
            Err(WebhookError::StorageError(
                "sqlite: opening the file panicked".into(),
            ))
        })?;
        let sealed = Sealed::new(plain, self.keys);
        sealed.check_keys().await?;
        Ok(SqliteStorage { sealed })
    }
}

fn open(path: &Path, queued_bytes: usize) -> Result<PlainStorage> {
    connection::check_library()?;
    let path = file::prepare(path)?;
    let turn = Turn::open(&path).map_err(|error| {
        WebhookError::permanent_storage("sqlite: cannot open the file of turns", error)
            .without_effect()
    })?;
    let db = connection::open(&path)?;
    migrations::migrate(&db, &turn)?;
    let work = Arc::new(Notify::new());
    let surroundings = Surroundings {
        path: path.clone(),
        turn,
        work: Arc::clone(&work),
    };
    let writer = Arc::new(Writer::start(
        State::new(db, clock::now()),
        surroundings,
        queued_bytes,
    )?);
    let readers = Arc::new(Readers::start(&path)?);
    Ok(PlainStorage {
        path,
        documents: SqliteDocuments {
            writer: Arc::clone(&writer),
            readers: Arc::clone(&readers),
        },
        writer,
        readers,
        work,
    })
}

impl fmt::Debug for SqliteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBuilder")
            .field("path", &self.path)
            .field("encryption_keys", &self.keys)
            .field("queued_bytes", &self.queued_bytes)
            .finish()
    }
}

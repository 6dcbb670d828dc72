use std::path::Path;

use webhooks_core::{Reencrypted, Result, Sealed, forward_storage};

use crate::backup;
use crate::plain_storage::PlainStorage;
use crate::send::Outbox;

/// Keeps everything in one file.
///
/// Any number of processes of one machine share it. What a call has acknowledged survives the crash
/// of every process and of the machine, as far as the disk does what it is asked.
#[derive(Debug)]
pub struct SqliteStorage {
    pub(crate) sealed: Sealed<PlainStorage>,
}

impl SqliteStorage {
    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.sealed.inner().path
    }

    /// Encrypts the credentials of all endpoints with the first of the
    /// [keys](crate::SqliteBuilder::encryption_keys): those under another key, and those that are
    /// stored as they are. Nobody sees it as a change. What it cannot read it leaves, and names in
    /// its answer.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) without a key;
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the database fails. What was
    /// done until then stays done.
    pub async fn reencrypt(&self) -> Result<Reencrypted> {
        self.sealed.reencrypt().await
    }

    /// Sends events inside a transaction of the caller, on a connection of its own to this file,
    /// which exist if and only if it commits.
    ///
    /// Takes a `rusqlite::Transaction`. Who has only that, and no storage, uses
    /// [`Outbox::new`].
    #[must_use]
    pub const fn outbox<'a>(&self, transaction: &'a rusqlite::Connection) -> Outbox<'a> {
        Outbox::new(transaction)
    }

    /// Writes a copy of the file, as it is at one moment, while everything goes on. It is compact,
    /// for its owner alone, and on the disk when this returns.
    ///
    /// An open file must not be copied by other means: what is in its log of writes would be missing.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) if there is a file already, or it
    /// cannot be written. What was written until then is removed.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        backup::backup(self.path(), to.as_ref()).await
    }
}

forward_storage! { [] SqliteStorage, |storage| storage.sealed }

use tokio_postgres::GenericClient;
use webhooks_core::{Reencrypted, Result, Sealed, forward_storage};

use crate::outbox::Outbox;
use crate::plain_storage::PlainStorage;

/// Keeps everything in PostgreSQL 13 or later.
///
/// Any number of processes share one database. What a call has acknowledged survives the crash of
/// every process and of the server, as far as the server's `fsync` and `synchronous_commit` are on.
#[derive(Debug)]
pub struct PostgresStorage {
    pub(crate) sealed: Sealed<PlainStorage>,
}

impl PostgresStorage {
    /// The schema that the tables are in.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.sealed.inner().database.schema()
    }

    /// Encrypts the credentials of all endpoints with the first of the
    /// [keys](crate::PostgresBuilder::encryption_keys): those under another key, and those that are
    /// stored as they are. Nobody sees it as a change. It is safe beside concurrent saves and may
    /// run on several nodes; what it cannot read it leaves, and names in its answer.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) without a key;
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the database fails. What
    /// was done until then stays done.
    pub async fn reencrypt(&self) -> Result<Reencrypted> {
        self.sealed.reencrypt().await
    }

    /// Sends events inside a transaction of the caller, which exist if and only if it commits.
    ///
    /// Takes a `tokio_postgres::Transaction`, `&*transaction` of the pool's one, and whatever else
    /// is a client of `tokio-postgres`.
    pub const fn outbox<'a, C: GenericClient + Sync>(
        &'a self,
        transaction: &'a C,
    ) -> Outbox<'a, C> {
        Outbox::new(&self.sealed.inner().database, transaction)
    }
}

forward_storage! { [] PostgresStorage, |storage| storage.sealed }

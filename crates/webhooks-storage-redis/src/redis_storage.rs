use webhooks_core::{Reencrypted, Result, Sealed, forward_storage};

use crate::durability::DurabilityWarning;
use crate::plain_storage::PlainStorage;

/// Keeps everything in Redis, shared by all processes that use the same server and key prefix.
///
/// ```no_run
/// use fred::prelude::*;
/// use webhooks_storage_redis::RedisStorage;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Builder::from_config(Config::from_url("redis://127.0.0.1:6379")?)
///     .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
///     .build_pool(2)?;
/// let storage = RedisStorage::new(pool).await?;
/// for warning in storage.durability_warnings() {
///     eprintln!("{warning}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Give the pool a reconnect policy; without one a lost connection stays lost.
#[derive(Debug)]
pub struct RedisStorage {
    pub(crate) sealed: Sealed<PlainStorage>,
}

impl RedisStorage {
    /// What the server's settings, as they were at the start, can lose. Each was also logged as a
    /// warning.
    #[must_use]
    pub fn durability_warnings(&self) -> &[DurabilityWarning] {
        &self.sealed.inner().warnings
    }

    /// Encrypts the credentials of all endpoints with the first of the
    /// [keys](crate::RedisStorageBuilder::encryption_keys): those under another key, and those that
    /// are stored as they are. Nobody sees it as a change. It is safe beside concurrent saves and
    /// may run on several nodes; what it cannot read it leaves, and names in its answer.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) without a key;
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the server fails. What was
    /// done until then stays done.
    pub async fn reencrypt(&self) -> Result<Reencrypted> {
        self.sealed.reencrypt().await
    }
}

forward_storage! { [] RedisStorage, |storage| storage.sealed }

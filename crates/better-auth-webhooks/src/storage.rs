//! Where endpoints and deliveries are kept. What only the author of a storage needs is in [`spi`].

pub use webhooks_core::storage::*;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub use webhooks_core::{EncryptionKeys, Reencrypted, Sealed};
#[cfg(feature = "memory")]
pub use webhooks_storage_memory::{MemoryLimits, MemoryStorage};
#[cfg(feature = "postgres")]
pub use webhooks_storage_postgres::{Outbox, OutboxSend, PostgresBuilder, PostgresStorage};
#[cfg(feature = "redis")]
pub use webhooks_storage_redis::{
    DurabilityWarning, RedisClients, RedisStorage, RedisStorageBuilder,
};
#[cfg(feature = "sqlite")]
pub use webhooks_storage_sqlite::{SqliteBuilder, SqliteStorage};

/// Sending inside transactions of your own in the file of a [`SqliteStorage`].
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use webhooks_storage_sqlite::{Outbox, OutboxSend, rusqlite};
}

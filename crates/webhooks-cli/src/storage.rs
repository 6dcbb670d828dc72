//! Opens storages.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, RedisStorage, SqliteStorage, WebhookStorage};
use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy};

use crate::failure::Failure;
use crate::storage_url::StorageUrl;
use crate::{encryption, postgres};

/// Connections to Redis. One server runs one script at a time: more give little.
const REDIS_CONNECTIONS: usize = 2;
/// A connection to Redis that answers nothing for so long is dead.
const UNRESPONSIVE: Duration = Duration::from_secs(10);
/// Commands that wait for a lost server at most; above it calls fail, and are tried again.
const MAX_WAITING: usize = 10_000;

/// Opens the storage that a URL names, and makes what it needs there.
pub(crate) async fn open(url: &StorageUrl) -> Result<Arc<dyn WebhookStorage>, Failure> {
    Ok(match url {
        StorageUrl::Memory => Arc::new(MemoryStorage::new()),
        StorageUrl::Sqlite(path) => Arc::new({
            let builder = SqliteStorage::builder(path);
            builder.encryption_keys(encryption::keys()?).open().await?
        }),
        StorageUrl::Postgres { url, schema } => {
            Arc::new(postgres::open(url, schema.as_deref()).await?)
        }
        StorageUrl::Redis { url, prefix } => Arc::new(redis(url, prefix.as_deref()).await?),
    })
}

/// Connects to Redis, and tells what a crash of it may lose.
async fn redis(url: &str, prefix: Option<&str>) -> Result<RedisStorage, Failure> {
    let config = Config::from_url(url)
        .map_err(|error| Failure::usage(format!("the URL of Redis: {}", error.details())))?;
    let pool: Pool = Builder::from_config(config)
        // Without one a lost connection stays lost.
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
        .with_connection_config(|connection| {
            connection.unresponsive.max_timeout = Some(UNRESPONSIVE);
            connection.max_command_buffer_len = MAX_WAITING;
        })
        .build_pool(REDIS_CONNECTIONS)
        .map_err(|error| Failure::usage(format!("the URL of Redis: {}", error.details())))?;
    let connected = pool.init().await;
    connected.map_err(|error| Failure::unreachable("Redis cannot be reached", &error))?;
    let mut builder = RedisStorage::builder(pool).encryption_keys(encryption::keys()?);
    if let Some(prefix) = prefix {
        builder = builder.key_prefix(prefix);
    }
    let storage = builder.connect().await?;
    for warning in storage.durability_warnings() {
        tracing::warn!("Redis may lose what it has acknowledged: {warning}");
    }
    Ok(storage)
}

//! Opens storages.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use better_auth_webhooks::WebhookError;
use better_auth_webhooks::storage::{
    MemoryStorage, PostgresStorage, RedisStorage, Reencrypted, SqliteStorage, WebhookStorage,
};
use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy};

use webhooks_server::Maintenance;

use crate::failure::Failure;
use crate::storage_url::StorageUrl;
use crate::{encryption, postgres};

/// Connections to Redis. One server runs one script at a time: more give little.
const REDIS_CONNECTIONS: usize = 2;
/// A connection to Redis that answers nothing for so long is dead.
const UNRESPONSIVE: Duration = Duration::from_secs(10);
/// Commands that wait for a lost server at most; above it calls fail, and are tried again.
const MAX_WAITING: usize = 10_000;

/// A storage that was opened, of whatever kind.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Memory(Arc<MemoryStorage>),
    Sqlite(Arc<SqliteStorage>),
    Postgres {
        storage: Arc<PostgresStorage>,
        pool: deadpool_postgres::Pool,
        schema: String,
    },
    Redis(Arc<RedisStorage>),
}

impl Opened {
    /// As the system takes it.
    pub(crate) fn storage(&self) -> Arc<dyn WebhookStorage> {
        match self {
            Self::Memory(storage) => storage.clone(),
            Self::Sqlite(storage) => storage.clone(),
            Self::Postgres { storage, .. } => storage.clone(),
            Self::Redis(storage) => storage.clone(),
        }
    }
}

#[async_trait]
impl Maintenance for Opened {
    fn durability_warnings(&self) -> Vec<String> {
        match self {
            Self::Memory(_) => vec!["everything is lost with the process".into()],
            Self::Sqlite(_) | Self::Postgres { .. } => Vec::new(),
            Self::Redis(storage) => {
                let warnings = storage.durability_warnings().iter();
                warnings.map(ToString::to_string).collect()
            }
        }
    }

    async fn schema_version(&self) -> Result<Option<(u32, u32)>, WebhookError> {
        match self {
            Self::Postgres { pool, schema, .. } => {
                let version = PostgresStorage::schema_version(pool.clone(), schema);
                version.await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn reencrypt(&self) -> Result<Option<Reencrypted>, WebhookError> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Sqlite(storage) => storage.reencrypt().await.map(Some),
            Self::Postgres { storage, .. } => storage.reencrypt().await.map(Some),
            Self::Redis(storage) => storage.reencrypt().await.map(Some),
        }
    }
}

/// Opens the storage that a URL names, and makes what it needs there.
pub(crate) async fn open(url: &StorageUrl) -> Result<Opened, Failure> {
    Ok(match url {
        StorageUrl::Memory => Opened::Memory(Arc::new(MemoryStorage::new())),
        StorageUrl::Sqlite(path) => {
            let builder = SqliteStorage::builder(path);
            let builder = builder.encryption_keys(encryption::keys()?);
            Opened::Sqlite(Arc::new(builder.open().await?))
        }
        StorageUrl::Postgres { url, schema } => {
            let (storage, pool) = postgres::open(url, schema.as_deref()).await?;
            Opened::Postgres {
                storage: Arc::new(storage),
                pool,
                // As the storage has it, too.
                schema: schema.clone().unwrap_or_else(|| "public".into()),
            }
        }
        StorageUrl::Redis { url, prefix } => {
            Opened::Redis(Arc::new(redis(url, prefix.as_deref()).await?))
        }
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

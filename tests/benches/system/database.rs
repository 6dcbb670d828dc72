//! The storages, as a service would set them up.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use better_auth_webhooks::storage::{
    MemoryLimits, MemoryStorage, PostgresStorage, RedisStorage, SqliteStorage, WebhookStorage,
};
use deadpool_postgres::{Manager, Pool};
use fred::prelude::{Builder, Config};
use tokio_postgres::NoTls;

use crate::Result;

/// Connections of one process.
const CONNECTIONS: usize = 8;
/// More than any part lets wait in memory.
const WAITING: usize = 2_000_000;

/// Where the private servers are, and the folder of the SQLite files.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: String,
    pub(crate) redis: String,
    pub(crate) sqlite: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Memory,
    Sqlite,
    Postgres,
    Redis,
}

impl Database {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Postgres, Self::Redis];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        }
    }

    /// What the process of a worker is told.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    pub(crate) fn url(self, servers: &Servers) -> &str {
        match self {
            Self::Memory => "",
            Self::Sqlite => &servers.sqlite,
            Self::Postgres => &servers.postgres,
            Self::Redis => &servers.redis,
        }
    }

    /// A storage in a namespace of its own.
    pub(crate) async fn connect(
        self,
        url: &str,
        namespace: &str,
    ) -> Result<Arc<dyn WebhookStorage>> {
        match self {
            Self::Memory => {
                let roomy = MemoryLimits {
                    deliveries: WAITING,
                    waiting_per_endpoint: WAITING,
                    ..MemoryLimits::default()
                };
                Ok(Arc::new(MemoryStorage::new().with_limits(roomy)))
            }
            Self::Sqlite => {
                let path = Path::new(url).join(format!("{namespace}.db"));
                Ok(Arc::new(SqliteStorage::open(path).await?))
            }
            Self::Postgres => {
                let config: tokio_postgres::Config = url.parse()?;
                let manager = Manager::new(config.clone(), NoTls);
                let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
                let storage = PostgresStorage::builder(pool).schema(namespace);
                Ok(Arc::new(storage.listen(config, NoTls).connect().await?))
            }
            Self::Redis => {
                let config = Config::from_url(url)?;
                let pool = Builder::from_config(config).build_pool(CONNECTIONS)?;
                let storage = RedisStorage::builder(pool).key_prefix(namespace);
                Ok(Arc::new(storage.connect().await?))
            }
        }
    }

    /// Drops all namespaces that were made on this server, whose storages are gone.
    pub(crate) async fn clear(self, servers: &Servers, namespaces: &[&str]) -> Result {
        match self {
            Self::Memory => {}
            Self::Sqlite => {
                // As a whole: the last files of one that is still closing go by themselves.
                std::fs::remove_dir_all(&servers.sqlite)?;
                std::fs::create_dir(&servers.sqlite)?;
            }
            Self::Postgres => {
                let client = postgres(&servers.postgres).await?;
                for namespace in namespaces {
                    let drop = format!("DROP SCHEMA IF EXISTS \"{namespace}\" CASCADE");
                    client.batch_execute(&drop).await?;
                }
                client.batch_execute("CHECKPOINT").await?;
            }
            Self::Redis => {
                redis(&servers.redis, "FLUSHALL").await?;
            }
        }
        Ok(())
    }
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            "redis" => Ok(Self::Redis),
            _ => Err(format!("there is no database {text}")),
        }
    }
}

/// A connection for what is no storage's business.
pub(crate) async fn postgres(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The answer to one command, as far as it came at once.
pub(crate) async fn redis(url: &str, command: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = url.trim_start_matches("redis://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    // QUIT ends the answer.
    let commands = format!("{command}\r\nQUIT\r\n");
    stream.write_all(commands.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with('-') {
        return Err(format!("{command}: {answer}").into());
    }
    Ok(answer)
}

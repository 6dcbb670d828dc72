//! A storage that several systems share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{
    DeliveryQuery, MemoryStorage, PostgresStorage, RedisStorage, SqliteStorage, WebhookStorage,
};
use better_auth_webhooks::{
    CircuitBreakerConfig, DeliveryState, NetworkPolicy, RetryStrategy, WebhookEndpoint,
    WebhookSystem, WebhookSystemBuilder,
};
use deadpool_postgres::{Manager, Pool, Runtime};
use fred::prelude::*;
use fred::types::CustomCommand;
use tokio_postgres::NoTls;

/// Where the systems of a test keep everything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Memory,
    Postgres,
    Redis,
    Sqlite,
}

/// Makes a test of each storage of a function that takes a [`Place`].
macro_rules! on_each_storage {
    ($($case:ident)+) => {
        $(mod $case {
            use crate::place::{Engine, Place};

            #[tokio::test]
            async fn on_memory() {
                super::$case(&Place::new(Engine::Memory)).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                super::$case(&Place::new(Engine::Postgres)).await;
            }

            #[tokio::test]
            async fn on_redis() {
                super::$case(&Place::new(Engine::Redis)).await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                super::$case(&Place::new(Engine::Sqlite)).await;
            }
        })+
    };
}
pub(crate) use on_each_storage;

/// A storage of one test, to which each node has connections of its own.
#[derive(Debug)]
pub(crate) struct Place {
    engine: Engine,
    memory: Arc<MemoryStorage>,
    name: String,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            memory: Arc::default(),
            name: format!("nodes_{:016x}", fastrand::u64(..)),
        }
    }

    pub(crate) async fn storage(&self) -> Arc<dyn WebhookStorage> {
        match self.engine {
            Engine::Memory => self.memory.clone(),
            Engine::Postgres => {
                let manager = Manager::new(server("POSTGRES").parse().unwrap(), NoTls);
                let pool = Pool::builder(manager).max_size(4).runtime(Runtime::Tokio1);
                let storage = PostgresStorage::builder(pool.build().unwrap()).schema(&self.name);
                Arc::new(storage.connect().await.unwrap())
            }
            Engine::Redis => {
                let config = Config::from_url(&server("REDIS")).unwrap();
                let pool = Builder::from_config(config).build_pool(1).unwrap();
                let storage = RedisStorage::builder(pool).key_prefix(&self.name);
                Arc::new(storage.connect().await.unwrap())
            }
            Engine::Sqlite => {
                let folder = self.folder();
                std::fs::create_dir_all(&folder).unwrap();
                let storage = SqliteStorage::open(folder.join("webhooks.db"));
                Arc::new(storage.await.unwrap())
            }
        }
    }

    /// Of its SQLite file.
    fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(&self.name)
    }

    /// A client of the database, on the storage's tables.
    pub(crate) async fn postgres(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&server("POSTGRES"), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let path = format!("SET search_path = \"{}\"", self.name);
        client.batch_execute(&path).await.unwrap();
        client
    }

    /// Whether a thousand endpoints take seconds to register.
    pub(crate) const fn registers_slowly(&self) -> bool {
        matches!(self.engine, Engine::Postgres)
    }

    /// How long a call of this storage has kept the database from others at most, where calls do.
    pub(crate) async fn longest_call(&self) -> Duration {
        if !matches!(self.engine, Engine::Redis) {
            return Duration::ZERO;
        }
        let log = redis_slowlog().await.into_array();
        let calls = log.into_iter().filter(|call| {
            // Tests that run beside this one have calls of their own.
            format!("{call:?}").contains(&self.name)
        });
        let micros = calls.filter_map(|call| call.into_array().get(2)?.as_u64());
        Duration::from_micros(micros.max().unwrap_or(0))
    }

    /// A system of its own on this storage.
    pub(crate) async fn node(&self) -> WebhookSystem {
        self.node_with(builder()).await
    }

    pub(crate) async fn node_with(&self, builder: WebhookSystemBuilder) -> WebhookSystem {
        builder.build(self.storage().await)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if matches!(self.engine, Engine::Sqlite) {
            std::fs::remove_dir_all(self.folder()).unwrap_or_default();
        }
    }
}

async fn redis_slowlog() -> Value {
    let client = Builder::from_config(Config::from_url(&server("REDIS")).unwrap())
        .build()
        .unwrap();
    client.init().await.unwrap();
    let slowlog = CustomCommand::new_static("SLOWLOG", None, false);
    client.custom(slowlog, vec!["GET", "-1"]).await.unwrap()
}

fn server(kind: &str) -> String {
    let variable = format!("WEBHOOKS_TEST_{kind}_URL");
    std::env::var(&variable).unwrap_or_else(|_| panic!("{variable} is not set: cargo xtask test"))
}

/// A system that tries once, on any network, and never leaves an endpoint alone.
pub(crate) fn builder() -> WebhookSystemBuilder {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 1_000_000,
            ..Default::default()
        })
        .retry_strategy(retries(0))
}

pub(crate) fn retries(max_retries: u32) -> RetryStrategy {
    RetryStrategy {
        max_retries,
        initial_delay_ms: 300,
        max_delay_ms: 300,
        backoff_multiplier: 1.0,
    }
}

pub(crate) fn endpoint(id: &str, url: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: url.into(),
        secret: format!("the secret of {url}"),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

pub(crate) fn of_tenant(id: &str, url: &str, tenant: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        tenant: Some(tenant.into()),
        ..endpoint(id, url)
    }
}

/// Looks again and again until it is so; gives up after 20 s.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
    assert!(looked.is_ok(), "within 20 s {what}");
}

/// How many deliveries are in this state.
pub(crate) async fn count(system: &WebhookSystem, state: DeliveryState) -> u64 {
    let counts = system.get_metrics().await.unwrap().counts;
    match state {
        DeliveryState::Blocked => counts.blocked,
        DeliveryState::Dead => counts.dead,
        DeliveryState::Cancelled => counts.cancelled,
        DeliveryState::Delivered => counts.delivered,
        DeliveryState::Ready => counts.ready,
        DeliveryState::Scheduled => counts.scheduled,
        DeliveryState::Leased => counts.leased,
    }
}

pub(crate) fn all() -> DeliveryQuery {
    DeliveryQuery::default()
}

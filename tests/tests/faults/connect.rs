//! A storage on the server of a fault, as a service would set it up.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{PostgresStorage, RedisStorage, WebhookStorage};
use better_auth_webhooks::{Result, WebhookError};
use deadpool_postgres::{Manager, Pool};
use fred::prelude::{Builder, Config, ReconnectPolicy};
use tokio_postgres::NoTls;

use crate::cluster::PARTITIONS;
use crate::server::Kind;

/// Connects once; a server that is away is an error.
pub(crate) async fn connect(
    kind: Kind,
    url: &str,
    namespace: &str,
    connections: usize,
) -> Result<Arc<dyn WebhookStorage>> {
    let wrong =
        |error: &dyn std::fmt::Display| WebhookError::StorageError(error.to_string().into());
    match kind {
        Kind::Postgres => {
            let config: tokio_postgres::Config = url.parse().map_err(|e| wrong(&e))?;
            let manager = Manager::new(config.clone(), NoTls);
            let pool = Pool::builder(manager).max_size(connections).build();
            let storage = PostgresStorage::builder(pool.map_err(|e| wrong(&e))?);
            let storage = storage.schema(namespace).listen(config, NoTls);
            Ok(Arc::new(storage.connect().await?))
        }
        Kind::Redis | Kind::Cluster | Kind::WaitingCluster => {
            let config = Config::from_url(url).map_err(|e| wrong(&e))?;
            let mut builder = Builder::from_config(config);
            builder.set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2));
            let pool = builder.build_pool(connections).map_err(|e| wrong(&e))?;
            let mut storage = RedisStorage::builder(pool).key_prefix(namespace);
            if kind != Kind::Redis {
                storage = storage.partitions(PARTITIONS);
            }
            if kind == Kind::WaitingCluster {
                storage = storage.wait_for_replicas(1, Duration::from_secs(1));
            }
            Ok(Arc::new(storage.connect().await?))
        }
    }
}

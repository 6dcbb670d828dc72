//! A schema of its own for each test, on the server that the environment names.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "not every test file uses all of it"
)]

pub mod events;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use webhooks_storage_postgres::{PostgresBuilder, PostgresStorage};

pub const URL: &str = "WEBHOOKS_TEST_POSTGRES_URL";

/// The server of the tests. It is never skipped: a test that did not run has not passed.
pub fn config() -> Config {
    let url = std::env::var(URL).unwrap_or_else(|_| {
        panic!(
            "{URL} is not set: it names a PostgreSQL for tests, and `cargo xtask test` starts one"
        )
    });
    url.parse().expect("the variable holds a connection string")
}

pub fn pool(connections: usize) -> Pool {
    pool_of(config(), connections)
}

pub fn pool_of(config: Config, connections: usize) -> Pool {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(connections)
        .wait_timeout(Some(std::time::Duration::from_secs(30)))
        .runtime(Runtime::Tokio1)
        .build()
        .unwrap()
}

pub fn fresh_schema() -> String {
    format!("test_{:016x}", fastrand::u64(..))
}

pub fn builder(schema: &str) -> PostgresBuilder {
    PostgresStorage::builder(pool(10))
        .schema(schema)
        .listen(config(), NoTls)
}

pub async fn storage(schema: &str) -> PostgresStorage {
    builder(schema).connect().await.unwrap()
}

pub async fn client() -> Client {
    let (client, connection) = config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub async fn drop_schema(schema: &str) {
    let sql =
        format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS \"{schema}\" CASCADE");
    client().await.batch_execute(&sql).await.unwrap();
}

//! PostgreSQL behind a real PgBouncer.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are helpers of tests"
)]

use std::path::Path;
use std::time::Duration;

use better_auth_webhooks::storage::{PostgresStorage, WebhookStorage};
use better_auth_webhooks::{WebhookEndpoint, WebhookError};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};
use xtask::{PgBouncer, TempFolder};

/// The server of the tests.
fn server() -> Config {
    let url = std::env::var("WEBHOOKS_TEST_POSTGRES_URL").unwrap();
    url.parse().unwrap()
}

fn start(folder: &Path, settings: &[&str]) -> (PgBouncer, Config) {
    let config = server();
    let Some(Host::Tcp(host)) = config.get_hosts().first() else {
        panic!("the server is reached by TCP");
    };
    let mut line = format!(
        "host={host} port={} user={}",
        config.get_ports().first().unwrap_or(&5432),
        config.get_user().unwrap()
    );
    if let Some(password) = config.get_password() {
        line += &format!(" password='{}'", String::from_utf8_lossy(password));
    }
    let pooler = PgBouncer::start(folder, &line, settings).unwrap();
    let mut through = Config::new();
    through
        .host("127.0.0.1")
        .port(pooler.port())
        .user("anybody");
    through.dbname(config.get_dbname().unwrap_or("postgres"));
    (pooler, through)
}

fn pool(config: Config, connections: usize, recycling_method: RecyclingMethod) -> Pool {
    let recycling = ManagerConfig { recycling_method };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(connections)
        .wait_timeout(Some(Duration::from_secs(30)))
        .runtime(Runtime::Tokio1)
        .build()
        .unwrap()
}

async fn client(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn setting(client: &Client, name: &str) -> String {
    let told = client.query_one(&format!("SHOW {name}"), &[]).await;
    told.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_keeps_sessions_works_and_its_other_clients_notice_nothing() {
    let folder = TempFolder::new("pgbouncer-session").unwrap();
    // Another client later gets sessions of the storage, as they were left.
    let settings = ["pool_mode = session", "server_reset_query ="];
    let (_pooler, config) = start(folder.path(), &settings);
    let jit = setting(&client(&server()).await, "jit").await;
    let schema = format!("pgbouncer_{}", std::process::id());
    for recycling in [RecyclingMethod::Fast, RecyclingMethod::Clean] {
        let pool = pool(config.clone(), 3, recycling);
        let storage = PostgresStorage::builder(pool.clone())
            .schema(&schema)
            .listen(config.clone(), NoTls);
        let storage = storage.connect().await.unwrap();
        let endpoint = WebhookEndpoint {
            id: "a".into(),
            url: "https://example.com".into(),
            secret: "hunter2".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await.unwrap();
        for _ in 0..20 {
            storage.counts(None).await.unwrap();
        }
        let one = pool.get().await.unwrap();
        assert_eq!(setting(&one, "jit").await, jit);
        drop((one, storage));
        pool.close();
        for _ in 0..3 {
            assert_eq!(setting(&client(&config).await, "jit").await, jit);
        }
    }
    let drop_schema = format!("DROP SCHEMA {schema} CASCADE");
    client(&server())
        .await
        .batch_execute(&drop_schema)
        .await
        .unwrap();
}

/// Connects several times, as it must never depend on which session the pooler gives.
async fn refused(name: &str, settings: &[&str], connections: usize) {
    let folder = TempFolder::new(&format!("pgbouncer-{name}")).unwrap();
    let (_pooler, config) = start(folder.path(), settings);
    for _ in 0..5 {
        let pool = pool(config.clone(), connections, RecyclingMethod::Fast);
        let storage = PostgresStorage::builder(pool).schema("never_made");
        let error = storage.connect().await.unwrap_err();
        assert!(matches!(error, WebhookError::InvalidConfig(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("pool_mode = session"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_is_refused_with_its_cause() {
    refused("transaction", &["pool_mode = transaction"], 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_is_refused_by_a_pool_of_one() {
    refused("one", &["pool_mode = transaction"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_that_gives_sessions_in_turn_is_refused() {
    let in_turn = "server_round_robin = 1";
    let settings = ["pool_mode = transaction", in_turn, "min_pool_size = 3"];
    refused("in-turn", &settings, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_with_one_session_is_refused() {
    let settings = ["pool_mode = transaction", "default_pool_size = 1"];
    refused("single", &settings, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_statements_is_refused_with_its_cause() {
    refused("statement", &["pool_mode = statement"], 4).await;
}

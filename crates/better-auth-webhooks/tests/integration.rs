//! The system on each storage, over real sockets. `--features integration-tests` runs it, with the
//! servers that `WEBHOOKS_TEST_POSTGRES_URL` and `WEBHOOKS_TEST_REDIS_URL` name; `cargo xtask test`
//! starts such servers and sets both, `cargo xtask services` does for work by hand.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::collections::HashSet;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, PostgresStorage, RedisStorage, WebhookStorage};
use better_auth_webhooks::{
    NetworkPolicy, RetryStrategy, WebhookEndpoint, WebhookReceiver, WebhookSystem,
};
use deadpool_postgres::{Manager, Pool, Runtime};
use serde_json::json;
use tokio_postgres::NoTls;
use webhooks_tests::{Receiver, Response};

const EVENTS: usize = 200;

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and what it \
             prints, or set it to the URL of a server that these tests may write to"
        )
    })
}

fn postgres_pool() -> Pool {
    let config = server("WEBHOOKS_TEST_POSTGRES_URL").parse().unwrap();
    let manager = Manager::new(config, NoTls);
    Pool::builder(manager)
        .max_size(8)
        .runtime(Runtime::Tokio1)
        .build()
        .unwrap()
}

async fn postgres(pool: &Pool, test: &str) -> PostgresStorage {
    let schema = format!("integration_{test}_{}", std::process::id());
    PostgresStorage::builder(pool.clone())
        .schema(&schema)
        .connect()
        .await
        .unwrap()
}

async fn drop_schema(pool: &Pool, schema: &str) {
    let client = pool.get().await.unwrap();
    client
        .batch_execute(&format!("DROP SCHEMA \"{schema}\" CASCADE"))
        .await
        .unwrap();
}

/// Sends many events to an endpoint that fails now and then: each arrives, signed.
async fn every_event_arrives(storage: impl WebhookStorage) {
    let receiver =
        Receiver::start(|_, n| Response::Status(if n % 10 == 0 { 503 } else { 200 })).await;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 10,
            initial_delay_ms: 10,
            max_delay_ms: 50,
            backoff_multiplier: 2.0,
        })
        .build(storage);
    system
        .register_endpoint(WebhookEndpoint {
            id: "a".into(),
            url: receiver.url(),
            secret: "hunter2".into(),
            events: vec!["order.*".into()],
            ..Default::default()
        })
        .await
        .unwrap();
    let mut sent = HashSet::new();
    for number in 0..EVENTS {
        let receipt = system
            .send_webhook("order.paid", json!(number))
            .await
            .unwrap();
        sent.insert(receipt.event_id);
    }
    assert!(system.drain(Duration::from_secs(30)).await.unwrap());

    let verifier = WebhookReceiver::new("hunter2");
    let arrived: HashSet<_> = receiver
        .received()
        .iter()
        .map(|r| verifier.receive(&r.headers, &r.body).unwrap().id)
        .collect();
    assert_eq!(arrived, sent);
    let counts = system.get_metrics().await.unwrap().counts;
    assert_eq!((counts.delivered, counts.waiting()), (EVENTS as u64, 0));
    system.shutdown(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn every_event_arrives_from_the_memory_storage() {
    every_event_arrives(MemoryStorage::new()).await;
}

#[tokio::test]
async fn every_event_arrives_from_postgresql() {
    let pool = postgres_pool();
    let storage = postgres(&pool, "arrival").await;
    let schema = storage.schema().to_owned();
    every_event_arrives(storage).await;
    drop_schema(&pool, &schema).await;
}

#[tokio::test]
async fn every_event_arrives_from_redis() {
    let config = fred::types::config::Config::from_url(&server("WEBHOOKS_TEST_REDIS_URL")).unwrap();
    let pool = fred::types::Builder::from_config(config)
        .build_pool(2)
        .unwrap();
    let prefix = format!("integration-{}", std::process::id());
    let storage = RedisStorage::builder(pool)
        .key_prefix(prefix)
        .connect()
        .await
        .unwrap();
    every_event_arrives(storage).await;
}

#[tokio::test]
async fn an_event_sent_in_a_transaction_is_delivered_if_and_only_if_it_commits() {
    let pool = postgres_pool();
    let storage = std::sync::Arc::new(postgres(&pool, "outbox").await);
    let schema = storage.schema().to_owned();
    let receiver = Receiver::responding(200).await;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage.clone());
    system
        .register_endpoint(WebhookEndpoint {
            id: "a".into(),
            url: receiver.url(),
            secret: "hunter2".into(),
            events: vec!["order.*".into()],
            ..Default::default()
        })
        .await
        .unwrap();

    let mut client = pool.get().await.unwrap();
    let undone = client.transaction().await.unwrap();
    storage
        .outbox(&*undone)
        .send("order.undone", &json!({}))
        .await
        .unwrap();
    undone.rollback().await.unwrap();
    let done = client.transaction().await.unwrap();
    let id = storage
        .outbox(&*done)
        .send("order.paid", &json!({ "n": 1 }))
        .await
        .unwrap();
    let sql = format!("SELECT \"{schema}\".webhook_send('order.shipped', '{{\"n\": 2}}')");
    done.execute(&sql, &[]).await.unwrap();
    done.commit().await.unwrap();

    // What is in the outbox waits too.
    assert!(system.drain(Duration::from_secs(10)).await.unwrap());
    let mut events: Vec<_> = receiver
        .received()
        .iter()
        .map(|r| r.header("x-webhook-event").to_owned())
        .collect();
    events.sort();
    assert_eq!(events, ["order.paid", "order.shipped"]);
    let of_rust = |r: &webhooks_tests::Received| r.header("x-webhook-id") == id.to_string();
    assert!(receiver.received().iter().any(of_rust));
    system.shutdown(Duration::from_secs(10)).await.unwrap();
    drop_schema(&pool, &schema).await;
}

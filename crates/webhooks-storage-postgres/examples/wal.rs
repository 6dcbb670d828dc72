//! Measures the bytes that PostgreSQL writes ahead for a delivery that arrives at once:
//! `cargo run --release -p webhooks-storage-postgres --example wal -- postgres://user@host/database`.
//!
//! The server should have `full_page_writes = off`: otherwise most bytes are pages that are written for
//! the first time since a checkpoint, whatever is in them. Nothing else may write meanwhile.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use deadpool_postgres::{Manager, Pool, Runtime};
use tokio_postgres::{Client, NoTls};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    AttemptRecord, DeliveryId, EventId, EventType, Priority, Timestamp, WebhookEndpoint,
    WebhookEvent, WorkerId,
};
use webhooks_storage_postgres::PostgresStorage;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Deliveries of one call.
const BATCH: usize = 100;
const ROUNDS: usize = 200;
const SCHEMA: &str = "webhooks_wal";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).ok_or("which database?")?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    for (bytes, endpoints) in [(300, 1), (300, 10), (8_192, 1), (8_192, 10)] {
        client
            .batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
            .await?;
        let pool = Pool::builder(Manager::new(url.parse()?, NoTls)).runtime(Runtime::Tokio1);
        let storage = PostgresStorage::builder(pool.max_size(1).build()?).schema(SCHEMA);
        let wal = measure(&storage.connect().await?, &client, bytes, endpoints).await?;
        println!("{bytes} B for {endpoints} endpoints: {wal} bytes for each delivery");
    }
    let drop = format!("DROP SCHEMA {SCHEMA} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}

/// Bytes for each delivery of a payload of this size.
async fn measure(
    storage: &PostgresStorage,
    client: &Client,
    bytes: usize,
    endpoints: usize,
) -> Result<i64> {
    let ids: Vec<Arc<str>> = (0..endpoints).map(|n| format!("e{n}").into()).collect();
    for id in &ids {
        let endpoint = WebhookEndpoint {
            id: id.to_string(),
            url: "https://example.com".into(),
            secret: "hunter2".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await?;
    }
    let worker = WorkerId::unique();
    let now = storage.beat(Some(&worker), None).await?.now;
    // Random, so that the server does not press it together.
    let text: String = (2..bytes).map(|_| fastrand::alphanumeric()).collect();
    let payload = Bytes::from(format!("\"{text}\""));
    // The first rounds fill caches and plans.
    deliver(storage, &worker, &ids, &payload, ROUNDS / 20, now).await?;
    let before = written(client).await?;
    deliver(storage, &worker, &ids, &payload, ROUNDS, now).await?;
    let deliveries = i64::try_from(ROUNDS * BATCH)?;
    Ok((written(client).await? - before) / deliveries)
}

async fn deliver(
    storage: &PostgresStorage,
    worker: &WorkerId,
    ids: &[Arc<str>],
    payload: &Bytes,
    rounds: usize,
    now: Timestamp,
) -> Result<()> {
    for _ in 0..rounds {
        let events: Vec<_> = (0..BATCH / ids.len())
            .map(|_| event(ids, payload, now))
            .collect::<Result<_>>()?;
        storage.enqueue(&events, Some(worker), now).await?;
        let made = events.iter().flat_map(|event| &event.deliveries);
        let settlements: Vec<_> = made.map(|new| arrived(new, now)).collect();
        storage.settle(worker, &settlements, now).await?;
    }
    Ok(())
}

fn event(ids: &[Arc<str>], payload: &Bytes, now: Timestamp) -> Result<NewEvent> {
    let event = WebhookEvent {
        id: EventId::new(now),
        event_type: EventType::new("order.placed")?,
        tenant: None,
        created_at: now,
        payload: payload.clone(),
        ordering_key: None,
        trace: None,
    };
    let deliveries = ids.iter().map(|id| NewDelivery {
        id: DeliveryId::new(now),
        endpoint_id: id.clone(),
        incarnation: None,
        by_name: false,
        lease: true,
        order: None,
    });
    Ok(NewEvent {
        priority: Priority::Normal,
        due_at: now,
        max_retries: 5,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: deliveries.collect(),
        event: Arc::new(event),
    })
}

/// Of a delivery that was stored leased.
fn arrived(new: &NewDelivery, now: Timestamp) -> Settlement {
    let mut attempt = AttemptRecord::new(new.id, 1, now);
    attempt.status = Some(200);
    attempt.response = "ok".into();
    Settlement {
        delivery_id: new.id,
        endpoint_id: new.endpoint_id.clone(),
        token: 1,
        settle_as: SettleAs::Delivered,
        attempt: Some(attempt),
    }
}

/// Bytes that the server has written ahead so far.
async fn written(client: &Client) -> Result<i64> {
    let now = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(client.query_one(now, &[]).await?.get(0))
}

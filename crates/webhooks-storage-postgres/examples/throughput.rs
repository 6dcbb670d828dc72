//! Measures enqueue, claim and settle on a real server.
//!
//! `WEBHOOKS_TEST_POSTGRES_URL=.. cargo run --release -p webhooks-storage-postgres --example throughput`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints what it found"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use tokio::time::Instant;
use tokio_postgres::{Config, NoTls};
use webhooks_core::storage::{Claim, NewDelivery, NewEvent, SettleAs, Settlement, WebhookStorage};
use webhooks_core::{
    AttemptRecord, DeliveryId, EventType, Priority, Timestamp, WebhookEndpoint, WebhookEvent,
    WorkerId,
};
use webhooks_storage_postgres::PostgresStorage;

/// Deliveries of each measurement.
const DELIVERIES: usize = 40_000;
const ENDPOINTS: usize = 100;
const CONNECTIONS: usize = 2;

#[tokio::main]
async fn main() {
    let url = std::env::var("WEBHOOKS_TEST_POSTGRES_URL").unwrap();
    let config: Config = url.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let pool = Pool::builder(Manager::new(config, NoTls))
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .build()
        .unwrap();
    let schema = format!("throughput_{}", fastrand::u32(..));
    let builder = PostgresStorage::builder(pool).schema(&schema);
    let storage = Arc::new(builder.connect().await.unwrap());
    for n in 0..ENDPOINTS {
        let endpoint = WebhookEndpoint {
            id: format!("endpoint_{n}"),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await.unwrap();
    }
    for batch in [100, 50] {
        measure("enqueue", batch, storage.clone(), enqueue).await;
        measure("claim and settle", batch, storage.clone(), claim_and_settle).await;
    }
    measure("enqueue leased and settle", 100, storage.clone(), straight).await;
    let drop = format!("DROP SCHEMA \"{schema}\" CASCADE");
    client.batch_execute(&drop).await.unwrap();
}

/// Runs one step on two connections until all deliveries went through it.
async fn measure<F>(
    what: &str,
    batch: usize,
    storage: Arc<PostgresStorage>,
    step: impl Fn(Arc<PostgresStorage>, WorkerId, usize) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = usize> + Send,
{
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let (storage, done) = (storage.clone(), done.clone());
            tokio::spawn(async move {
                let worker = WorkerId::named(&format!("worker_{n}"));
                while done.load(Ordering::Relaxed) < DELIVERIES {
                    let some = step(storage.clone(), worker.clone(), batch).await;
                    done.fetch_add(some, Ordering::Relaxed);
                    if some == 0 {
                        break;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let done = done.load(Ordering::Relaxed);
    println!(
        "{what}, batches of {batch}: {done} in {seconds:.2} s, {:.0}/s",
        f64::from(u32::try_from(done).unwrap()) / seconds
    );
}

async fn now(storage: &PostgresStorage) -> Timestamp {
    storage.beat(None, None).await.unwrap().now
}

fn events(batch: usize, lease: bool, now: Timestamp) -> Vec<NewEvent> {
    let event_type = EventType::new("user.created").unwrap();
    let data = "x".repeat(300);
    (0..batch)
        .map(|_| NewEvent {
            event: Arc::new(
                WebhookEvent::new(event_type.clone(), None, &data, 10_000, now).unwrap(),
            ),
            priority: Priority::Normal,
            due_at: now,
            max_retries: 3,
            idempotency_key: None,
            deliveries: vec![NewDelivery {
                id: DeliveryId::new(now),
                endpoint_id: format!("endpoint_{}", fastrand::usize(..ENDPOINTS)).into(),
                lease,
            }],
        })
        .collect()
}

async fn enqueue(storage: Arc<PostgresStorage>, _: WorkerId, batch: usize) -> usize {
    let events = events(batch, false, Timestamp::from(std::time::UNIX_EPOCH));
    storage
        .enqueue(&events, None, Timestamp::from_secs(1))
        .await
        .unwrap();
    batch
}

async fn claim_and_settle(storage: Arc<PostgresStorage>, worker: WorkerId, batch: usize) -> usize {
    let claim = Claim {
        worker: &worker,
        now: Timestamp::from_secs(1),
        limit: batch,
        per_endpoint: 32,
        room: &[],
        suspects: 0,
        rate_limit: None,
    };
    let claimed = storage.claim(&claim).await.unwrap().deliveries;
    let settlements: Vec<_> = claimed
        .iter()
        .map(|d| delivered(d.id, &d.endpoint_id, d.lease.as_ref().unwrap().token))
        .collect();
    storage
        .settle(&worker, &settlements, Timestamp::from_secs(1))
        .await
        .unwrap();
    claimed.len()
}

async fn straight(storage: Arc<PostgresStorage>, worker: WorkerId, batch: usize) -> usize {
    let now = now(&storage).await;
    let events = events(batch, true, now);
    storage.enqueue(&events, Some(&worker), now).await.unwrap();
    let settlements: Vec<_> = events
        .iter()
        .flat_map(|event| &event.deliveries)
        .map(|d| delivered(d.id, &d.endpoint_id, 1))
        .collect();
    storage.settle(&worker, &settlements, now).await.unwrap();
    batch
}

fn delivered(id: DeliveryId, endpoint_id: &Arc<str>, token: u64) -> Settlement {
    Settlement {
        delivery_id: id,
        endpoint_id: endpoint_id.clone(),
        token,
        settle_as: SettleAs::Delivered,
        attempt: Some(AttemptRecord {
            delivery_id: id,
            number: 1,
            started_at: Timestamp::from_secs(1),
            duration: Duration::from_millis(20),
            status: Some(200),
            failure: None,
            response: bytes::Bytes::from_static(b"ok"),
            ambiguous: false,
        }),
    }
}

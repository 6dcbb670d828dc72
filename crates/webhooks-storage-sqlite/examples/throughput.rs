//! Measures deliveries from the send to the settlement, in batches of 100 and one by one:
//! `cargo run --release -p webhooks-storage-sqlite --example throughput -- folder`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Claim, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    AttemptRecord, DeliveryId, EventId, EventType, Priority, Timestamp, WebhookEndpoint,
    WebhookEvent, WorkerId,
};
use webhooks_storage_sqlite::SqliteStorage;

const ENDPOINTS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let path = std::path::Path::new(&folder).join(format!("throughput-{}.db", std::process::id()));
    let storage = Arc::new(SqliteStorage::open(&path).await?);
    for n in 0..ENDPOINTS {
        let endpoint = WebhookEndpoint {
            id: format!("e{n}"),
            url: "https://example.com".into(),
            secret: "hunter2".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await?;
    }
    measure(&storage, 4, 100, 60_000).await?;
    measure(&storage, 64, 1, 20_000).await?;
    println!("{} bytes", std::fs::metadata(&path)?.len());
    Ok(())
}

/// Lets so many tasks send, claim and settle batches of this size.
async fn measure(
    storage: &Arc<SqliteStorage>,
    tasks: usize,
    batch: usize,
    total: usize,
) -> Result<(), Box<dyn Error>> {
    let now = storage.beat(None, None).await?.now;
    let begin = Instant::now();
    let started: Vec<_> = (0..tasks)
        .map(|_| tokio::spawn(work(Arc::clone(storage), batch, total / tasks, now)))
        .collect();
    for task in started {
        task.await??;
    }
    let rate = total as f64 / begin.elapsed().as_secs_f64();
    println!("{tasks} tasks, batches of {batch}: {rate:.0} deliveries a second");
    Ok(())
}

async fn work(
    storage: Arc<SqliteStorage>,
    batch: usize,
    count: usize,
    now: Timestamp,
) -> Result<(), webhooks_core::WebhookError> {
    let worker = WorkerId::unique();
    let payload = Bytes::from(vec![b'x'; 300]);
    let (mut sent, mut settled) = (0, 0);
    while settled < count {
        if sent < count {
            let events: Vec<_> = (0..batch).map(|n| event(sent + n, &payload, now)).collect();
            storage.enqueue(&events, None, now).await?;
            sent += batch;
        }
        let claim = Claim {
            worker: &worker,
            now,
            limit: batch,
            per_endpoint: batch,
            room: &[],
            poison_suspects: 1,
            rate_limit: None,
        };
        let claimed = storage.claim(&claim).await?.deliveries;
        let settlements = claimed.iter().map(|delivery| Settlement {
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id.clone(),
            token: delivery.lease.as_ref().map_or(0, |lease| lease.token),
            settle_as: SettleAs::Delivered,
            attempt: Some(AttemptRecord::new(delivery.id, 1, now)),
        });
        storage
            .settle(&worker, &settlements.collect::<Vec<_>>(), now)
            .await?;
        settled += claimed.len();
    }
    Ok(())
}

fn event(n: usize, payload: &Bytes, now: Timestamp) -> NewEvent {
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: EventType::new("user.created").unwrap_or_else(|_| unreachable!()),
            tenant: None,
            payload: payload.clone(),
            created_at: now,
            ordering_key: None,
            trace: None,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: format!("e{}", n % ENDPOINTS).into(),
            incarnation: None,
            by_name: false,
            order: None,
            lease: false,
        }],
    }
}

//! Deliveries from being sent to being settled, as fast as they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::prelude::*;
use tokio::time::Instant;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Claim, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    DeliveryId, EventId, EventType, Priority, Timestamp, WebhookDelivery, WebhookEndpoint,
    WebhookEvent, WorkerId,
};
use webhooks_storage_redis::RedisStorage;

use crate::nodes::Result;

const ENDPOINTS: usize = 64;
/// Processes, as far as the storage can tell.
const WORKERS: usize = 8;
/// Events of one call, each with one delivery.
const BATCH: usize = 100;
const DELIVERIES: usize = 40_000;

/// How many were settled, and how long that took.
pub(crate) async fn run(url: String) -> Result<(f64, Duration)> {
    let pool = Builder::from_config(Config::from_url(&url)?).build_pool(4)?;
    let storage = RedisStorage::builder(pool).partitions(16).connect().await?;
    for n in 0..ENDPOINTS {
        storage.save_endpoint(&endpoint(n)).await?;
    }
    let storage = Arc::new(storage);
    let settled = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers = (0..WORKERS).map(|n| {
        let worker = WorkerId::named(&format!("worker_{n}"));
        tokio::spawn(work(storage.clone(), worker, settled.clone()))
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let settled = u32::try_from(settled.load(Ordering::SeqCst))?;
    Ok((settled.into(), start.elapsed()))
}

/// Sends its part, and settles what it gets until nothing is left.
async fn work(storage: Arc<RedisStorage>, worker: WorkerId, settled: Arc<AtomicUsize>) -> Result {
    let of_type = EventType::new("user.created")?;
    let mut to_send = DELIVERIES / WORKERS;
    while settled.load(Ordering::SeqCst) < DELIVERIES {
        let now = storage.beat(None, None).await?.now;
        if to_send > 0 {
            let events: Vec<_> = (0..BATCH)
                .map(|n| event(to_send + n, &of_type, now))
                .collect();
            storage.enqueue(&events, None, now).await?;
            to_send -= BATCH;
        }
        let claimed = storage.claim(&claim(&worker, now)).await?.deliveries;
        let outcomes: Vec<_> = claimed.iter().filter_map(delivered).collect();
        settled.fetch_add(outcomes.len(), Ordering::SeqCst);
        if !outcomes.is_empty() {
            storage.settle(&worker, &outcomes, now).await?;
        }
    }
    Ok(())
}

fn endpoint(n: usize) -> WebhookEndpoint {
    WebhookEndpoint {
        id: format!("endpoint_{n}"),
        url: "https://example.com/".into(),
        secret: "not a real secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

fn event(n: usize, of_type: &EventType, now: Timestamp) -> NewEvent {
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: of_type.clone(),
            tenant: None,
            payload: Bytes::from(vec![b'x'; 300]),
            created_at: now,
            ordering_key: None,
            trace: None,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: false,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: format!("endpoint_{}", n % ENDPOINTS).into(),
            incarnation: None,
            by_name: false,
            order: None,
            lease: false,
        }],
    }
}

fn claim(worker: &WorkerId, now: Timestamp) -> Claim<'_> {
    Claim {
        worker,
        now,
        limit: BATCH,
        per_endpoint: BATCH,
        room: &[],
        poison_suspects: 1,
        rate_limit: None,
    }
}

fn delivered(delivery: &WebhookDelivery) -> Option<Settlement> {
    Some(Settlement {
        delivery_id: delivery.id,
        endpoint_id: delivery.endpoint_id.clone(),
        token: delivery.lease.as_ref()?.token,
        settle_as: SettleAs::Delivered,
        attempt: None,
    })
}

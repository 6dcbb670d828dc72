//! How many deliveries a second one Redis takes: enqueued, and claimed and settled, in batches.
//!
//! `WEBHOOKS_TEST_REDIS_URL=redis://127.0.0.1:6379 cargo run --release -p webhooks-storage-redis
//! --example throughput -- [batch] [endpoints] [backlog]`. The backlog waits on one paused endpoint
//! beside the work.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and ends where something is wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::prelude::*;
use tokio::time::Instant;
use webhooks_core::storage::{
    Claim, EndpointGate, GateChange, NewDelivery, NewEvent, SettleAs, Settlement, WebhookStorage,
};
use webhooks_core::{
    DeliveryId, EventId, EventType, Priority, Timestamp, WebhookEndpoint, WebhookEvent, WorkerId,
};
use webhooks_storage_redis::RedisStorage;

/// Callers at the same time, each with a batch under way.
const CALLERS: usize = 4;
const BATCHES: usize = 100;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|n| n.parse().ok());
    let batch: usize = arguments.next().unwrap_or(100);
    let endpoints: usize = arguments.next().unwrap_or(50);
    let backlog: usize = arguments.next().unwrap_or(0);
    let url = std::env::var("WEBHOOKS_TEST_REDIS_URL").unwrap();
    let config = Config::from_url(&url).unwrap();
    let pool = Builder::from_config(config).build_pool(2).unwrap();
    let prefix = format!("throughput-{}", std::process::id());
    let builder = RedisStorage::builder(pool).key_prefix(prefix);
    let storage = Arc::new(builder.connect().await.unwrap());
    let now = storage.beat(None, None).await.unwrap().now;
    for n in 0..endpoints {
        save(&storage, &format!("endpoint_{n}")).await;
    }
    fill(&storage, backlog, now).await;

    let started = Instant::now();
    let senders: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(send(storage.clone(), batch, endpoints, now)))
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let total = CALLERS * BATCHES * batch;
    report("enqueued", total, started.elapsed());

    let started = Instant::now();
    let workers: Vec<_> = (0..CALLERS)
        .map(|n| tokio::spawn(work(storage.clone(), n, batch, now)))
        .collect();
    let mut settled = 0;
    for worker in workers {
        settled += worker.await.unwrap();
    }
    report("claimed and settled", settled, started.elapsed());
    println!("{:?}", storage.counts(None).await.unwrap());
}

fn report(what: &str, count: usize, took: Duration) {
    let rate = f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64();
    println!("{what}: {count} in {took:.2?}, {rate:.0}/s");
}

async fn save(storage: &RedisStorage, id: &str) {
    let endpoint = WebhookEndpoint {
        id: id.into(),
        url: "https://example.com/".into(),
        secret: "not a real secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    storage.save_endpoint(&endpoint).await.unwrap();
}

fn event(endpoint: &str, now: Timestamp) -> NewEvent {
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: EventType::new("user.created").unwrap(),
            tenant: None,
            payload: Bytes::from(vec![b'x'; 500]),
            created_at: now,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: endpoint.into(),
            lease: false,
        }],
    }
}

/// Fills the queue of an endpoint that is then paused.
async fn fill(storage: &RedisStorage, backlog: usize, now: Timestamp) {
    save(storage, "paused").await;
    let change = |change| EndpointGate {
        endpoint_id: "paused".into(),
        change,
    };
    for _ in 0..backlog / 1_000 {
        let events: Vec<_> = (0..1_000).map(|_| event("paused", now)).collect();
        storage.enqueue(&events, None, now).await.unwrap();
    }
    let pause = [change(GateChange::Pause)];
    storage.set_gates(&pause, now).await.unwrap();
}

async fn send(storage: Arc<RedisStorage>, batch: usize, endpoints: usize, now: Timestamp) {
    for n in 0..BATCHES {
        let events = (0..batch).map(|m| event(&format!("endpoint_{}", (n + m) % endpoints), now));
        let events: Vec<_> = events.collect();
        storage.enqueue(&events, None, now).await.unwrap();
    }
}

async fn work(storage: Arc<RedisStorage>, n: usize, batch: usize, now: Timestamp) -> usize {
    let worker = WorkerId::named(&format!("worker_{n}"));
    let claim = Claim {
        worker: &worker,
        now,
        limit: batch,
        per_endpoint: batch,
        room: &[],
        suspects: 0,
        rate_limit: None,
    };
    let mut settled = 0;
    loop {
        let claimed = storage.claim(&claim).await.unwrap().deliveries;
        if claimed.is_empty() {
            return settled;
        }
        let outcome = |delivery: &webhooks_core::WebhookDelivery| Settlement {
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id.clone(),
            token: delivery.lease.as_ref().unwrap().token,
            settle_as: SettleAs::Delivered,
            attempt: None,
        };
        let outcomes: Vec<_> = claimed.iter().map(outcome).collect();
        storage.settle(&worker, &outcomes, now).await.unwrap();
        settled += outcomes.len();
    }
}

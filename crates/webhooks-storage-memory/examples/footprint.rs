//! Measures what a waiting delivery costs in memory and what its life costs in time.
//!
//! `cargo run --release -p webhooks-storage-memory --example footprint [number of endpoints]`
#![expect(clippy::print_stdout, reason = "it reports to a person")]

use std::sync::Arc;

use serde_json::json;
use webhooks_core::storage::{Claim, NewDelivery, NewEvent, SettleAs, Settlement, WebhookStorage};
use webhooks_core::{DeliveryId, EventType, Priority, Result, Timestamp, WebhookEndpoint};
use webhooks_core::{WebhookEvent, WorkerId};
use webhooks_storage_memory::{MemoryLimits, MemoryStorage};

const WAITING: usize = 1_000_000;
const BATCH: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let endpoints = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let limits = MemoryLimits {
        waiting_per_endpoint: WAITING,
        ..MemoryLimits::default()
    };
    let storage = MemoryStorage::new().with_limits(limits);
    measure(&storage, endpoints.unwrap_or(1)).await
}

async fn measure(storage: &MemoryStorage, endpoints: usize) -> Result<()> {
    let names: Vec<Arc<str>> = (0..endpoints)
        .map(|n| format!("endpoint_{n}").into())
        .collect();
    for name in &names {
        let endpoint = WebhookEndpoint {
            id: name.to_string(),
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await?;
    }
    let worker = WorkerId::named("worker");
    let now = storage.beat(Some(&worker), None).await?.now;
    let before = resident_bytes();
    let (mut payload, mut enqueueing) = (0, std::time::Duration::ZERO);
    for batch in 0..WAITING / BATCH {
        let events = (0..BATCH).map(|n| new_event(&names, batch * BATCH + n, now));
        let events: Vec<_> = events.collect::<Result<_>>()?;
        payload += events.iter().map(|e| e.event.payload.len()).sum::<usize>();
        let started = tokio::time::Instant::now();
        storage.enqueue(&events, None, now).await?;
        enqueueing += started.elapsed();
    }
    let used = resident_bytes().saturating_sub(before + payload);
    println!(
        "{endpoints} endpoints: {} bytes each above the payload",
        used / WAITING
    );
    println!(
        "  enqueue {:?} each",
        enqueueing / u32::try_from(WAITING).unwrap_or(1)
    );
    let started = tokio::time::Instant::now();
    work_off(storage, &worker, now).await?;
    let each = started.elapsed() / u32::try_from(WAITING).unwrap_or(1);
    println!("  claim and settle {each:?} each");
    Ok(())
}

fn new_event(names: &[Arc<str>], n: usize, base: Timestamp) -> Result<NewEvent> {
    // A thousand a second, so that ids and keys grow as they do in life.
    let millis = i64::try_from(n).unwrap_or(0) - i64::try_from(WAITING).unwrap_or(0);
    let now = Timestamp::from_millis(base.as_millis() + millis);
    let event_type = EventType::new("user.created")?;
    let data = json!({ "user_id": n, "email": "somebody@example.com" });
    let event = WebhookEvent::new(event_type, None, &data, 1 << 18, now)?;
    let endpoint_id = names.get(n % names.len()).cloned().unwrap_or_default();
    Ok(NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 11,
        idempotency_key: None,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id,
            lease: false,
        }],
    })
}

async fn work_off(storage: &MemoryStorage, worker: &WorkerId, now: Timestamp) -> Result<()> {
    let claim = Claim {
        worker,
        now,
        limit: BATCH,
        per_endpoint: 16,
        room: &[],
        suspects: 0,
        rate_limit: None,
    };
    loop {
        let claimed = storage.claim(&claim).await?.deliveries;
        if claimed.is_empty() {
            return Ok(());
        }
        let settlements: Vec<_> = claimed
            .iter()
            .map(|delivery| Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id.clone(),
                token: delivery.lease.as_ref().map_or(0, |lease| lease.token),
                settle_as: SettleAs::Delivered,
                attempt: None,
            })
            .collect();
        storage.settle(worker, &settlements, now).await?;
    }
}

/// The resident memory of this process, where the system tells it (Linux, pages of 4 KiB).
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}

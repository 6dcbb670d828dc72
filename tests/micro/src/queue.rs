//! An event's bytes, and the life of deliveries in the memory storage.

use std::hint::black_box;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::json;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Claim, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    DeliveryId, EventType, Priority, Result, Timestamp, WebhookEndpoint, WebhookEvent, WorkerId,
};
use webhooks_storage_memory::MemoryStorage;

use crate::{Error, Step};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const ENDPOINTS: usize = 10;
const BATCH: usize = 100;

/// The body of one event, of about 300 bytes.
pub(crate) fn envelope() -> Result<Step, Error> {
    let event_type = EventType::new("user.created")?;
    let data = json!({ "user_id": "123", "text": "x".repeat(150) });
    Ok(Box::new(move || {
        let event_type = event_type.clone();
        black_box(WebhookEvent::new(
            event_type,
            None,
            black_box(&data),
            1 << 18,
            NOW,
        ))
        .ok();
    }))
}

/// 100 deliveries to 10 endpoints, beside 1,000 that are not due: stored, claimed and settled.
pub(crate) fn life() -> Result<Step, Error> {
    let storage = MemoryStorage::new();
    let worker = WorkerId::named("worker");
    let names: Vec<Arc<str>> = (0..ENDPOINTS)
        .map(|n| format!("endpoint_{n}").into())
        .collect();
    for name in &names {
        let endpoint = WebhookEndpoint {
            id: name.to_string(),
            ..WebhookEndpoint::default()
        };
        now(storage.save_endpoint(&endpoint))?;
    }
    let later = Timestamp::from_secs(NOW.as_secs() + 3_600);
    let waiting = (0..1_000).map(|n| new_event(&names, n, later));
    let waiting = waiting.collect::<Result<Vec<_>>>()?;
    now(storage.enqueue(&waiting, None, NOW))?;
    if once(&storage, &worker, &names)? != BATCH {
        return Err("not everything was claimed".into());
    }
    Ok(Box::new(move || {
        black_box(once(&storage, &worker, &names)).ok();
    }))
}

fn once(storage: &MemoryStorage, worker: &WorkerId, names: &[Arc<str>]) -> Result<usize> {
    let events = (0..BATCH).map(|n| new_event(names, n, NOW));
    let events = events.collect::<Result<Vec<_>>>()?;
    now(storage.enqueue(&events, None, NOW))?;
    let claim = Claim {
        worker,
        now: NOW,
        limit: BATCH,
        per_endpoint: 16,
        room: &[],
        poison_suspects: 0,
        rate_limit: None,
    };
    let claimed = now(storage.claim(&claim))?.deliveries;
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
    Ok(now(storage.settle(worker, &settlements, NOW))?.len())
}

fn new_event(names: &[Arc<str>], n: usize, due_at: Timestamp) -> Result<NewEvent> {
    let data = json!({ "user_id": n });
    let event = WebhookEvent::new(EventType::new("user.created")?, None, &data, 1 << 18, NOW)?;
    Ok(NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at,
        max_retries: 11,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(NOW),
            endpoint_id: names.get(n % names.len()).cloned().unwrap_or_default(),
            incarnation: None,
            by_name: false,
            order: None,
            lease: false,
        }],
    })
}

/// The memory storage never waits.
#[expect(clippy::expect_used, reason = "a measurement that fails should stop")]
fn now<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    answer.now_or_never().expect("an answer at once")
}

//! Turns events that were sent inside transactions into deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use webhooks_core::storage::{NewDelivery, NewEvent, OutboxEvent};
use webhooks_core::{
    Clock, DeliveryId, EventId, Result, WebhookError, WebhookEvent, committed_envelope,
};

use crate::committer::{BATCH_BYTES, BATCH_DELIVERIES, check_answers};
use crate::dispatcher::Dispatcher;
use crate::lane::LaneRef;
use crate::parts::Parts;
use crate::retrying::Retrying;

/// Events of one commit at most.
const BATCH: usize = 256;
/// Bytes of what is read at once, but for an event that has more.
const READ_BYTES: usize = 2 * BATCH_BYTES;

/// Empties the outbox whenever a beat says that something is in it.
pub(crate) async fn keep_emptying(dispatcher: Arc<Dispatcher>) {
    let mut retrying = Retrying::new("empty the outbox");
    loop {
        dispatcher.outbox.notified().await;
        while !dispatcher.is_stopping() {
            match empty(&dispatcher).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => retrying.pause(&error).await,
            }
        }
        retrying.succeeded();
    }
}

/// Takes up to a batch out of the outbox; how many left it. What another node is at stays.
async fn empty(dispatcher: &Arc<Dispatcher>) -> Result<usize> {
    let events = dispatcher.storage.read_outbox(BATCH, READ_BYTES).await?;
    if events.is_empty() {
        return Ok(0);
    }
    // After the events, so that each meets every endpoint that was there when it was committed.
    dispatcher.refresh().await?;
    let mut left = 0;
    let mut matched = Vec::with_capacity(events.len());
    for event in events {
        let id = event.id;
        match new_event(dispatcher, event) {
            Ok(event) => matched.push(event),
            Err(error) => left += set_aside(dispatcher, id, &error).await?,
        }
    }
    for events in commits(&matched) {
        left += store(dispatcher, events).await?;
    }
    Ok(left)
}

/// Stores events and takes them out of the outbox; how many left it. An event that the storage
/// refuses alone is set aside, so that those beside and behind it go on.
async fn store(dispatcher: &Arc<Dispatcher>, events: &[NewEvent]) -> Result<usize> {
    let (storage, worker) = (&dispatcher.storage, dispatcher.worker());
    let weight = |event: &NewEvent| event.event.payload.len();
    let mut parts = Parts::new(events.iter().map(weight), BATCH, BATCH_BYTES);
    let mut left = 0;
    while let Some(part) = parts.next() {
        let some = events.get(part.clone()).unwrap_or_default();
        let now = dispatcher.clock.now();
        let stored = storage.enqueue_outbox(some, Some(&worker), now).await;
        match stored.and_then(|answers| check_answers(some.len(), answers)) {
            Ok(answers) => {
                left += answers.iter().flatten().count();
                dispatcher.work.notify_one();
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) if !parts.split(&part) => {
                for event in some {
                    left += set_aside(dispatcher, event.event.id, &error).await?;
                }
            }
            Err(_) => {}
        }
    }
    Ok(left)
}

/// Keeps an event that is refused for good out of the way; how many left the outbox.
async fn set_aside(dispatcher: &Dispatcher, id: EventId, error: &WebhookError) -> Result<usize> {
    let source = std::error::Error::source(error);
    let reason = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let now = dispatcher.clock.now();
    if !dispatcher
        .storage
        .set_outbox_aside(id, &reason, now)
        .await?
    {
        return Ok(0);
    }
    tracing::error!(event_id = %id, reason, "an event of the outbox is refused and set aside");
    dispatcher.outbox_refused.fetch_add(1, Ordering::Relaxed);
    Ok(1)
}

/// The events of each commit, which has a bounded number of deliveries but for the last event's.
fn commits(events: &[NewEvent]) -> impl Iterator<Item = &[NewEvent]> {
    let mut deliveries = 0;
    events.split_inclusive(move |event| {
        deliveries += event.deliveries.len();
        let is_full = deliveries >= BATCH_DELIVERIES;
        if is_full {
            deliveries = 0;
        }
        is_full
    })
}

fn new_event(dispatcher: &Dispatcher, event: OutboxEvent) -> Result<NewEvent> {
    let now = dispatcher.clock.now();
    let lanes = dispatcher
        .directory
        .matches(event.tenant.as_ref(), &event.event_type);
    let deliver = |LaneRef(lane): LaneRef| NewDelivery {
        id: DeliveryId::new(now),
        endpoint_id: lane.endpoint_id.clone(),
        incarnation: Some(lane.incarnation),
        by_name: false,
        lease: false,
    };
    let retries = dispatcher.settings.retry_strategy.max_retries;
    // It is committed, so that no limit applies any more.
    let data: &RawValue = serde_json::from_slice(&event.data)?;
    let payload = committed_envelope(event.id, &event.event_type, event.created_at, data)?;
    Ok(NewEvent {
        priority: event.priority,
        due_at: event.due_at,
        max_retries: event.max_retries.unwrap_or(retries),
        idempotency_key: event.idempotency_key,
        deliveries: lanes.into_iter().map(deliver).collect(),
        event: Arc::new(WebhookEvent {
            id: event.id,
            event_type: event.event_type,
            tenant: event.tenant,
            payload,
            created_at: event.created_at,
        }),
    })
}

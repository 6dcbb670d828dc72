//! Turns events that were sent inside transactions into deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use webhooks_core::storage::spi::{NewDelivery, NewEvent, OutboxEvent, PartPlace};
use webhooks_core::{
    Clock, DeliveryId, EventId, Result, WebhookError, WebhookEvent, committed_envelope,
};

use crate::committer::{BATCH_BYTES, most_deliveries, weight};
use crate::dispatcher::Dispatcher;
use crate::fan_out::fan_out;
use crate::lane::LaneRef;
use crate::parts::{Parts, check_answers};
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
    let (mut matched, mut for_many) = (Vec::with_capacity(events.len()), Vec::new());
    for event in events {
        let id = event.id;
        match new_event(dispatcher, event) {
            Ok((event, lanes)) if lanes.len() > most_deliveries(event.event.payload.len()) => {
                for_many.push((event, lanes));
            }
            Ok((event, lanes)) => matched.push(with_deliveries(dispatcher, event, lanes)),
            Err(error) => left += set_aside(dispatcher, id, &error).await?,
        }
    }
    left += store(dispatcher, &matched).await?;
    // These take longer.
    for (event, lanes) in for_many {
        left += fan_out_event(dispatcher, event, lanes).await?;
    }
    Ok(left)
}

/// Takes an event for many endpoints out of the outbox, with the first part of its deliveries, and
/// stores the others; how many left it.
async fn fan_out_event(
    dispatcher: &Arc<Dispatcher>,
    event: NewEvent,
    lanes: Vec<LaneRef>,
) -> Result<usize> {
    let id = event.event.id;
    match fan_out(dispatcher, event, lanes, PartPlace::FirstOfOutbox).await {
        Ok(stored) => Ok(stored.into_iter().count()),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => set_aside(dispatcher, id, &error).await,
    }
}

/// Stores events and takes them out of the outbox; how many left it. An event that the storage
/// refuses alone is set aside, so that those beside and behind it go on.
async fn store(dispatcher: &Arc<Dispatcher>, events: &[NewEvent]) -> Result<usize> {
    let (storage, worker) = (&dispatcher.storage, dispatcher.worker());
    let weight = |new: &NewEvent| weight(new.event.payload.len(), new.deliveries.len());
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

/// The event with a delivery for each of these endpoints.
fn with_deliveries(dispatcher: &Dispatcher, event: NewEvent, lanes: Vec<LaneRef>) -> NewEvent {
    let now = dispatcher.clock.now();
    let deliver = |LaneRef(lane): LaneRef| NewDelivery {
        id: DeliveryId::new(now),
        endpoint_id: lane.endpoint_id.clone(),
        incarnation: Some(lane.incarnation),
        by_name: false,
        lease: false,
    };
    NewEvent {
        deliveries: lanes.into_iter().map(deliver).collect(),
        ..event
    }
}

/// The event, and who gets it.
fn new_event(dispatcher: &Dispatcher, event: OutboxEvent) -> Result<(NewEvent, Vec<LaneRef>)> {
    let lanes = dispatcher
        .directory
        .matches(event.tenant.as_ref(), &event.event_type);
    let retries = dispatcher.settings.retry_strategy.max_retries;
    // It is committed, so that no limit applies any more.
    let data: &RawValue = serde_json::from_slice(&event.data)?;
    let payload = committed_envelope(event.id, &event.event_type, event.created_at, data)?;
    let event = NewEvent {
        priority: event.priority,
        due_at: event.due_at,
        max_retries: event.max_retries.unwrap_or(retries),
        idempotency_key: event.idempotency_key,
        deliveries: Vec::new(),
        event: Arc::new(WebhookEvent {
            id: event.id,
            event_type: event.event_type,
            tenant: event.tenant,
            payload,
            created_at: event.created_at,
        }),
    };
    Ok((event, lanes))
}

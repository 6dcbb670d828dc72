//! Turns events that were sent inside transactions into deliveries.

use std::sync::Arc;

use serde_json::value::RawValue;
use webhooks_core::storage::{NewDelivery, NewEvent, OutboxEvent};
use webhooks_core::{Clock, DeliveryId, Result, WebhookEvent, committed_envelope};

use crate::committer::BATCH_DELIVERIES;
use crate::dispatcher::Dispatcher;
use crate::lane::LaneRef;
use crate::retrying::Retrying;

/// Events of one commit at most.
const BATCH: usize = 256;

/// Empties the outbox whenever a beat says that something is in it.
pub(crate) async fn keep_emptying(dispatcher: Arc<Dispatcher>) {
    let mut retrying = Retrying::new("empty the outbox");
    loop {
        dispatcher.outbox.notified().await;
        while !dispatcher.is_stopping() {
            match empty(&dispatcher).await {
                Ok(taken) if taken < BATCH => break,
                Ok(_) => {}
                Err(error) => retrying.pause(&error).await,
            }
        }
        retrying.succeeded();
    }
}

/// Takes up to a batch out of the outbox; how many there were.
async fn empty(dispatcher: &Arc<Dispatcher>) -> Result<usize> {
    let events = dispatcher.storage.read_outbox(BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    // After the events, so that each meets every endpoint that was there when it was committed.
    dispatcher.refresh().await?;
    let found = events.len();
    let events: Vec<_> = events
        .into_iter()
        .map(|event| new_event(dispatcher, event))
        .collect();
    let (storage, worker) = (&dispatcher.storage, Some(&dispatcher.worker));
    for events in commits(&events) {
        let now = dispatcher.clock.now();
        storage.enqueue_outbox(events, worker, now).await?;
        dispatcher.work.notify_one();
    }
    Ok(found)
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

fn new_event(dispatcher: &Dispatcher, event: OutboxEvent) -> NewEvent {
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
    // It is committed, so that no limit applies any more. What the storage took as JSON is JSON.
    let data = serde_json::from_slice(&event.data).unwrap_or(RawValue::NULL);
    let payload = committed_envelope(event.id, &event.event_type, event.created_at, data);
    NewEvent {
        priority: event.priority,
        due_at: event.due_at,
        max_retries: event.max_retries.unwrap_or(retries),
        idempotency_key: event.idempotency_key,
        deliveries: lanes.into_iter().map(deliver).collect(),
        event: Arc::new(WebhookEvent {
            id: event.id,
            event_type: event.event_type,
            tenant: event.tenant,
            payload: payload.unwrap_or_default(),
            created_at: event.created_at,
        }),
    }
}

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row;
use webhooks_core::{
    DeliveryId, DeliveryOrder, EventId, EventType, Lease, OnDead, Priority, Result, Timestamp,
    TraceContext, WebhookDelivery, WebhookEvent, WorkerId,
};

use crate::columns::{get, get_time, get_u32, get_u64};
use crate::raw_json::JsonText;

/// Events that several rows of an answer share, so that their bytes are kept once.
pub(crate) type Events = HashMap<EventId, Arc<WebhookEvent>>;

/// The delivery of a row, without its lease.
pub(crate) fn delivery(row: &Row, events: &mut Events) -> Result<WebhookDelivery> {
    let crashes = u32::try_from(get::<i16>(row, "crashes")?).unwrap_or(0);
    Ok(WebhookDelivery {
        id: DeliveryId::from_uuid(get(row, "id")?),
        endpoint_id: get::<&str>(row, "endpoint_id")?.into(),
        incarnation: get_u64(row, "incarnation")?,
        by_name: get(row, "by_name")?,
        order: order(row)?,
        event: shared_event(row, events)?,
        priority: priority(row)?,
        due_at: get_time(row, "next_retry_at")?,
        attempts: get_u32(row, "attempts")?,
        max_retries: get_u32(row, "max_retries")?,
        crashes,
        lease: None,
        endpoint: None,
    })
}

fn order(row: &Row) -> Result<Option<DeliveryOrder>> {
    let Some(key) = get::<Option<&str>>(row, "order_key")? else {
        return Ok(None);
    };
    Ok(Some(DeliveryOrder {
        key: key.into(),
        on_dead: match get(row, "holds")? {
            true => OnDead::Hold,
            false => OnDead::Continue,
        },
    }))
}

pub(crate) fn priority(row: &Row) -> Result<Priority> {
    let level = u8::try_from(get::<i16>(row, "priority")?).unwrap_or(0);
    Ok(Priority::from_level(level))
}

fn shared_event(row: &Row, events: &mut Events) -> Result<Arc<WebhookEvent>> {
    let id = EventId::from_uuid(get(row, "event_id")?);
    let payload = get::<Option<JsonText<'_>>>(row, "payload")?.map_or(&[][..], |json| json.0);
    // One delivery of it may be erased, and another one not.
    if let Some(known) = events.get(&id).filter(|e| e.payload == payload) {
        return Ok(Arc::clone(known));
    }
    let event = Arc::new(event(row, id, Bytes::copy_from_slice(payload))?);
    events.insert(id, Arc::clone(&event));
    Ok(event)
}

/// The event of a row.
pub(crate) fn event(row: &Row, id: EventId, payload: Bytes) -> Result<WebhookEvent> {
    Ok(WebhookEvent {
        id,
        event_type: EventType::new(get(row, "event_type")?)?,
        tenant: get::<Option<&str>>(row, "tenant")?.map(Into::into),
        payload,
        created_at: get_time(row, "created_at")?,
        ordering_key: get::<Option<&str>>(row, "ordering_key")?.map(Into::into),
        trace: trace(row)?,
    })
}

/// The trace of a row.
pub(crate) fn trace(row: &Row) -> Result<Option<TraceContext>> {
    let parent = get::<Option<&str>>(row, "traceparent")?;
    let state = get(row, "tracestate")?;
    parent
        .map(|parent| TraceContext::new(parent, state))
        .transpose()
}

/// The lease of a row.
pub(crate) fn lease(row: &Row) -> Result<Option<Lease>> {
    let Some(worker) = get::<Option<&str>>(row, "worker")? else {
        return Ok(None);
    };
    Ok(Some(Lease {
        worker: WorkerId::named(worker),
        token: get_u64(row, "token")?,
    }))
}

/// The earlier of two times, where one may be unknown.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

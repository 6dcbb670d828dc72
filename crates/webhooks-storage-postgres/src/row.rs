use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row;
use webhooks_core::{
    DeliveryId, EventId, EventType, Lease, Priority, Result, Timestamp, WebhookDelivery,
    WebhookEvent, WorkerId,
};

use crate::columns::{get, get_time, get_u32, get_u64};
use crate::raw_json::RawJson;

/// The columns of a delivery, of both tables that hold some.
pub(crate) const DELIVERY_COLUMNS: &str = "q.id, q.endpoint_id, q.event_id, q.created_at, \
    q.next_retry_at, q.attempts, q.max_retries, q.crashes, q.priority, q.event_type, q.tenant, \
    q.payload";

/// Events that several rows of an answer share, so that their bytes are kept once.
pub(crate) type Events = HashMap<EventId, Arc<WebhookEvent>>;

/// The delivery of a row, without its lease.
pub(crate) fn delivery(row: &Row, events: &mut Events) -> Result<WebhookDelivery> {
    let priority = u8::try_from(get::<i16>(row, "priority")?).unwrap_or(0);
    let crashes = u32::try_from(get::<i16>(row, "crashes")?).unwrap_or(0);
    Ok(WebhookDelivery {
        id: DeliveryId::from_uuid(get(row, "id")?),
        endpoint_id: get::<&str>(row, "endpoint_id")?.into(),
        // What has ended for good keeps neither.
        incarnation: u64::try_from(get::<Option<i64>>(row, "incarnation")?.unwrap_or(0))
            .unwrap_or(0),
        by_name: get::<Option<bool>>(row, "by_name")?.unwrap_or(false),
        event: event(row, events)?,
        priority: Priority::from_level(priority),
        due_at: get_time(row, "next_retry_at")?,
        attempts: get_u32(row, "attempts")?,
        max_retries: get_u32(row, "max_retries")?,
        crashes,
        lease: None,
        endpoint: None,
    })
}

fn event(row: &Row, events: &mut Events) -> Result<Arc<WebhookEvent>> {
    let id = EventId::from_uuid(get(row, "event_id")?);
    let payload = get::<Option<RawJson>>(row, "payload")?.map_or_else(Bytes::new, |json| json.0);
    if let Some(known) = events.get(&id).filter(|e| e.payload == payload) {
        return Ok(Arc::clone(known));
    }
    let event = Arc::new(WebhookEvent {
        id,
        event_type: EventType::new(get(row, "event_type")?)?,
        tenant: get::<Option<&str>>(row, "tenant")?.map(Into::into),
        payload,
        created_at: get_time(row, "created_at")?,
    });
    events.insert(id, Arc::clone(&event));
    Ok(event)
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

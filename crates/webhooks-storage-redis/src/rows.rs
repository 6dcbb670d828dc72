use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;
use webhooks_core::{
    DeliveryId, EventId, EventType, Lease, Priority, Result, WebhookDelivery, WebhookEvent,
    WorkerId,
};

use crate::reply::{Reply, malformed};

/// The events that the rows of an answer share.
#[derive(Debug, Default)]
pub(crate) struct Events(HashMap<Uuid, Arc<WebhookEvent>>);

impl Events {
    pub(crate) fn read(mut list: Reply) -> Result<Self> {
        let mut events = HashMap::new();
        while !list.is_over() {
            let mut fields = list.list()?;
            let id = fields.uuid()?;
            let event_type = EventType::new(&fields.text()?)?;
            let (has_tenant, tenant) = (fields.flag()?, fields.text()?);
            let event = WebhookEvent {
                id: EventId::from_uuid(id),
                event_type,
                tenant: has_tenant.then(|| tenant.into()),
                payload: fields.bytes()?,
                created_at: fields.timestamp()?,
            };
            events.insert(id, Arc::new(event));
        }
        Ok(Self(events))
    }

    fn get(&self, id: Uuid) -> Result<Arc<WebhookEvent>> {
        let event = self.0.get(&id).cloned();
        event.ok_or_else(|| malformed("lacks the event of a delivery"))
    }
}

/// Reads what all rows start with. A lease is put in if there is a worker.
pub(crate) fn delivery(
    row: &mut Reply,
    events: &Events,
    worker: Option<&WorkerId>,
) -> Result<WebhookDelivery> {
    let id = DeliveryId::from_uuid(row.uuid()?);
    let endpoint_id = row.text()?.into();
    let event = events.get(row.uuid()?)?;
    let priority = Priority::from_level(row.number()?);
    let due_at = row.timestamp()?;
    let (attempts, max_retries, crashes) = (row.number()?, row.number()?, row.number()?);
    let token = row.number()?;
    Ok(WebhookDelivery {
        id,
        endpoint_id,
        event,
        priority,
        due_at,
        attempts,
        max_retries,
        crashes,
        lease: worker.map(|worker| Lease {
            worker: worker.clone(),
            token,
        }),
        endpoint: None,
    })
}

//! Deliveries and events as Redis keeps them: texts whose fields are lines.

use std::collections::HashMap;
use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;
use webhooks_core::{
    DeliveryId, EventId, EventType, Lease, Priority, Result, Timestamp, WebhookDelivery,
    WebhookEvent, WorkerId,
};

use crate::reply::{Reply, malformed};

/// The events that the rows of an answer share.
#[derive(Debug, Default)]
pub(crate) struct Events(HashMap<Uuid, Arc<WebhookEvent>>);

/// Fields of a delivery; `parse` in `common.lua` has all of them, in their order.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) state: &'a str,
    endpoint: &'a str,
    event: &'a str,
    priority: &'a str,
    due: &'a str,
    attempts: &'a str,
    max_retries: &'a str,
    crashes: &'a str,
    token: &'a str,
    pub(crate) reason: &'a str,
    updated: &'a str,
    erased: &'a str,
    incarnation: &'a str,
    by_name: &'a str,
    pub(crate) worker: &'a str,
}

impl Events {
    pub(crate) fn read(mut list: Reply) -> Result<Self> {
        let mut events = HashMap::new();
        while !list.is_over() {
            let id = list.uuid()?;
            events.insert(id, Arc::new(read_event(id, list.bytes()?)?));
        }
        Ok(Self(events))
    }

    fn get(&self, id: Uuid) -> Result<Arc<WebhookEvent>> {
        let event = self.0.get(&id).cloned();
        event.ok_or_else(|| malformed("lacks the event of a delivery"))
    }
}

impl<'a> Row<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self> {
        let mut lines = text.splitn(19, '\n');
        let mut line = || lines.next().ok_or_else(broken);
        Ok(Self {
            state: line()?,
            endpoint: line()?,
            event: line()?,
            priority: line()?,
            due: line()?,
            attempts: line()?,
            max_retries: line()?,
            crashes: line()?,
            token: line()?,
            reason: line()?,
            updated: line()?,
            erased: line()?,
            incarnation: line()?,
            by_name: line()?,
            worker: lines.nth(4).ok_or_else(broken)?,
        })
    }

    /// The delivery, leased to this worker if there is one.
    pub(crate) fn delivery(
        &self,
        id: Uuid,
        events: &Events,
        worker: Option<WorkerId>,
    ) -> Result<WebhookDelivery> {
        let token = number(self.token)?;
        let event_id = Uuid::try_parse(self.event).map_err(|_| broken())?;
        Ok(WebhookDelivery {
            id: DeliveryId::from_uuid(id),
            endpoint_id: self.endpoint.into(),
            incarnation: number(self.incarnation)?,
            by_name: self.by_name == "1",
            event: events.get(event_id)?,
            priority: Priority::from_level(number(self.priority)?),
            due_at: number(self.due).map(Timestamp::from_millis)?,
            attempts: number(self.attempts)?,
            max_retries: number(self.max_retries)?,
            crashes: number(self.crashes)?,
            lease: worker.map(|worker| Lease { worker, token }),
            endpoint: None,
        })
    }

    pub(crate) fn updated_at(&self) -> Result<Timestamp> {
        number(self.updated).map(Timestamp::from_millis)
    }

    pub(crate) const fn is_erased(&self) -> bool {
        !self.erased.is_empty()
    }
}

/// Writes an event: its type, its time and its tenant, a line each, and then the payload.
pub(crate) fn write_event(to: &mut BytesMut, event: &WebhookEvent) {
    let created = event.created_at.as_millis();
    let tenant = event.tenant.as_deref().map(tenant_line).unwrap_or_default();
    let _never_fails = write!(to, "{}\n{created}\n{tenant}\n", event.event_type);
    to.put_slice(&event.payload);
}

/// A tenant as an event holds it: in JSON, which is one line whatever it is.
pub(crate) fn tenant_line(tenant: &str) -> String {
    serde_json::Value::from(tenant).to_string()
}

pub(crate) fn read_event(id: Uuid, mut text: Bytes) -> Result<WebhookEvent> {
    let mut line = || {
        let end = text.iter().position(|byte| *byte == b'\n');
        let line = text.split_to(end.ok_or_else(broken)? + 1);
        String::from_utf8(line.slice(..line.len() - 1).into()).map_err(|_| broken())
    };
    let (event_type, created, tenant) = (line()?, line()?, line()?);
    let tenant: Option<String> = match tenant.as_str() {
        "" => None,
        json => Some(serde_json::from_str(json).map_err(|_| broken())?),
    };
    Ok(WebhookEvent {
        id: EventId::from_uuid(id),
        event_type: EventType::new(&event_type)?,
        tenant: tenant.map(Into::into),
        payload: text,
        created_at: number(&created).map(Timestamp::from_millis)?,
    })
}

pub(crate) fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| broken())
}

pub(crate) fn broken() -> webhooks_core::WebhookError {
    malformed("holds a broken delivery or event")
}

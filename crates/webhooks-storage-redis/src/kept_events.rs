//! Events as Redis keeps them: lines that tell of them and of their deliveries, and the payload.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::{EventId, EventType, Priority, Result, Timestamp, TraceContext, WebhookEvent};

use crate::reply::{Reply, broken, number};

/// An event and what its deliveries are made with; `HEAD` in `events.lua` has the same lines.
#[derive(Clone, Debug)]
pub(crate) struct KeptEvent {
    pub(crate) event: Arc<WebhookEvent>,
    pub(crate) priority: Priority,
    pub(crate) due_at: Timestamp,
    pub(crate) max_retries: u32,
}

/// The events that the rows of an answer share.
#[derive(Debug, Default)]
pub(crate) struct Events(HashMap<Uuid, Arc<WebhookEvent>>);

impl Events {
    pub(crate) fn read(mut list: Reply) -> Result<Self> {
        let mut events = HashMap::new();
        while !list.is_over() {
            let id = list.uuid()?;
            events.insert(id, KeptEvent::read(id, list.bytes()?)?.event);
        }
        Ok(Self(events))
    }

    pub(crate) fn get(&self, id: Uuid) -> Result<Arc<WebhookEvent>> {
        self.0.get(&id).cloned().ok_or_else(broken)
    }
}

impl KeptEvent {
    /// Reads an event with its payload, which is empty if it was erased or not asked for.
    pub(crate) fn read(id: Uuid, mut text: Bytes) -> Result<Self> {
        let mut line = || {
            let end = text.iter().position(|byte| *byte == b'\n');
            let line = text.split_to(end.ok_or_else(broken)? + 1);
            String::from_utf8(line.slice(..line.len() - 1).into()).map_err(|_| broken())
        };
        let (event_type, created, tenant) = (line()?, line()?, line()?);
        let (made_with, ordering_key, trace) = (line()?, line()?, line()?);
        let mut made_with = made_with.split(' ');
        let mut next = || made_with.next().ok_or_else(broken);
        let (priority, due, retries) = (next()?, next()?, next()?);
        let event = WebhookEvent {
            id: EventId::from_uuid(id),
            event_type: EventType::new(&event_type)?,
            tenant: read_name(&tenant)?,
            payload: text,
            created_at: number(&created).map(Timestamp::from_millis)?,
            ordering_key: read_name(&ordering_key)?,
            trace: read_trace(&trace)?,
        };
        Ok(Self {
            event: Arc::new(event),
            priority: Priority::from_level(number(priority)?),
            due_at: number(due).map(Timestamp::from_millis)?,
            max_retries: number(retries)?,
        })
    }
}

/// Writes an event, its lines and then its payload. What a person may have chosen is in JSON, or has
/// letters of a fixed set alone, so that no line holds the end of one.
pub(crate) fn write_event(to: &mut BytesMut, new: &NewEvent) {
    let event = &new.event;
    let name = |name: &Option<Arc<str>>| name.as_deref().map(name_line).unwrap_or_default();
    let _never_fails = write!(
        to,
        "{}\n{}\n{}\n{} {} {}\n{}\n",
        event.event_type,
        event.created_at.as_millis(),
        name(&event.tenant),
        new.priority.level(),
        new.due_at.as_millis(),
        new.max_retries,
        name(&event.ordering_key),
    );
    if let Some(trace) = &event.trace {
        to.put_slice(trace.parent().as_bytes());
        if let Some(state) = trace.state() {
            to.put_u8(b' ');
            to.put_slice(state.as_bytes());
        }
    }
    to.put_u8(b'\n');
    to.put_slice(&event.payload);
}

/// A name that a person chose: in JSON, which is one line whatever it is.
pub(crate) fn name_line(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// The name in a line, which is empty for none.
pub(crate) fn read_name(line: &str) -> Result<Option<Arc<str>>> {
    let name: Option<String> = match line {
        "" => None,
        json => Some(serde_json::from_str(json).map_err(|_| broken())?),
    };
    Ok(name.map(Into::into))
}

/// The parent is of letters and digits, and the state may hold spaces.
fn read_trace(line: &str) -> Result<Option<TraceContext>> {
    if line.is_empty() {
        return Ok(None);
    }
    let (parent, state) = match line.split_once(' ') {
        Some((parent, state)) => (parent, Some(state)),
        None => (line, None),
    };
    TraceContext::new(parent, state).map(Some)
}

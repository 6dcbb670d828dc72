//! An event as it was sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::{EventId, EventType, Result, Timestamp, TraceContext, envelope};

/// An event as it was sent: its bytes are shared by all its deliveries. A storage makes it with all
/// of its fields from what it keeps; it is serialised with its payload as the JSON that it is, to
/// the byte where the format can.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct WebhookEvent {
    /// Identifies the event.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// For whom it was sent, if for anybody.
    pub tenant: Option<Arc<str>>,
    /// The envelope, as every request carries it. Empty once it was erased.
    #[serde(serialize_with = "crate::shown::json")]
    pub payload: Bytes,
    /// When it was sent.
    pub created_at: Timestamp,
    /// Events with the same key arrive at endpoints that [order by it](crate::OrderBy::Key) in the
    /// order in which they were stored.
    pub ordering_key: Option<Arc<str>>,
    /// The trace in which it was sent, if it was told.
    pub trace: Option<TraceContext>,
}

impl WebhookEvent {
    /// Makes an event with a new id and writes its envelope, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// As [`envelope`](crate::envelope()).
    pub fn new(
        event_type: EventType,
        tenant: Option<Arc<str>>,
        data: &(impl Serialize + ?Sized),
        limit: usize,
        now: Timestamp,
    ) -> Result<Self> {
        let id = EventId::new(now);
        let payload = envelope(id, &event_type, now, data, limit)?;
        Ok(Self {
            id,
            event_type,
            tenant,
            payload,
            created_at: now,
            ordering_key: None,
            trace: None,
        })
    }
}

impl fmt::Debug for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payload may hold personal data.
        f.debug_struct("WebhookEvent")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("tenant", &self.tenant)
            .field("payload_bytes", &self.payload.len())
            .field("created_at", &self.created_at)
            .finish()
    }
}

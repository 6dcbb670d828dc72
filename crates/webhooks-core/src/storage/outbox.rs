use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{EventId, EventType, Priority, Timestamp, TraceContext};

/// An event that was sent inside a transaction of somebody's, and that no node has matched to
/// endpoints yet.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// The event's id, which stays the same however often it is read.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// For whom it was sent, if for anybody.
    pub tenant: Option<Arc<str>>,
    /// The text of the envelope's `data`, as it was sent.
    pub data: Bytes,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was sent, which is the envelope's `timestamp`.
    pub created_at: Timestamp,
    /// When it may go.
    pub due_at: Timestamp,
    /// Retries after the first attempt; `None` means the system's.
    pub max_retries: Option<u32>,
    /// The same key of the same tenant stores nothing again for 24 h.
    pub idempotency_key: Option<Arc<str>>,
    /// Its [ordering key](crate::WebhookEvent::ordering_key).
    pub ordering_key: Option<Arc<str>>,
    /// The trace in which it was sent, if it was told.
    pub trace: Option<TraceContext>,
}

impl fmt::Debug for OutboxEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The data may be personal.
        f.debug_struct("OutboxEvent")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("tenant", &self.tenant)
            .field("data_bytes", &self.data.len())
            .field("priority", &self.priority)
            .field("created_at", &self.created_at)
            .field("due_at", &self.due_at)
            .field("max_retries", &self.max_retries)
            .finish_non_exhaustive()
    }
}

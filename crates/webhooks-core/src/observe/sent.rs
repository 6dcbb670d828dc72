use crate::named::named;
use crate::{EventId, TraceContext, WebhookError};

/// An event that was sent, or refused.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SentInfo<'a> {
    /// What became of it.
    pub outcome: SentOutcome,
    /// Its type, as the sender gave it: of a refused event it may be any text.
    pub event_type: &'a str,
    /// For whom it was sent, if for anybody.
    pub tenant: Option<&'a str>,
    /// The event, or the first one with the same idempotency key. `None` if it was refused before it
    /// had an id.
    pub event_id: Option<EventId>,
    /// Deliveries that were made: none if nothing was stored now.
    pub deliveries: usize,
    /// The trace in which it was sent, if it was told.
    pub trace: Option<&'a TraceContext>,
}

impl<'a> SentInfo<'a> {
    /// An event of which no more is known than its type and what became of it.
    #[must_use]
    pub const fn new(outcome: SentOutcome, event_type: &'a str) -> Self {
        Self {
            outcome,
            event_type,
            tenant: None,
            event_id: None,
            deliveries: 0,
            trace: None,
        }
    }
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SentOutcome {
    /// It is stored, and has deliveries.
    Stored,
    /// It was sent before under the same idempotency key; nothing was stored now.
    Duplicate,
    /// No endpoint takes it.
    NoEndpoint,
    /// Something is wrong with it, or it came after the end.
    Refused,
    /// There was no room for it: the sender may send it again.
    Overloaded,
    /// The storage failed. It may be stored all the same, if only the answer was lost.
    Failed,
}

impl SentOutcome {
    /// What an error says of the event whose sender gets it.
    #[must_use]
    pub const fn of_error(error: &WebhookError) -> Self {
        match error {
            WebhookError::Overloaded(_) => Self::Overloaded,
            WebhookError::StorageError(_) => Self::Failed,
            _ => Self::Refused,
        }
    }
}

named!(SentOutcome, "outcome of a sent event", {
    Stored => "stored",
    Duplicate => "duplicate",
    NoEndpoint => "no_endpoint",
    Refused => "refused",
    Overloaded => "overloaded",
    Failed => "failed",
});

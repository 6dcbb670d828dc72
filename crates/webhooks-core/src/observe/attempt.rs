use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Attempt, DeliveryId, DeliveryResult, EventId, TraceContext, WebhookError, WebhookEvent,
};

/// One request: of one delivery, or of a batch.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct AttemptInfo<'a> {
    /// Where to.
    pub endpoint_id: &'a str,
    /// Its URL. A path or a query may hold what must not be told: take host and port alone.
    pub url: &'a str,
    /// The id of the event, or the batch's own.
    pub event_id: EventId,
    /// The type of the event, or that of a batch.
    pub event_type: &'a str,
    /// The id of the delivery, or the batch's own: no other request has it at the same time.
    pub delivery_id: DeliveryId,
    /// The number of the attempt, from 1, in its delivery's series; a replay begins at 1 again. In a
    /// batch the highest.
    pub number: u32,
    /// What it carries: one event, or those of the batch in their order.
    pub events: &'a [Arc<WebhookEvent>],
    /// How late it starts: the time since it was due, by the storage's clock. `None` of a batch, which
    /// waits on purpose.
    pub lag: Option<Duration>,
    /// The trace that goes out with it, if that begins with this request:
    /// [`TracePropagation::New`](crate::TracePropagation::New).
    pub new_trace: Option<&'a TraceContext>,
}

impl<'a> AttemptInfo<'a> {
    /// The request that is this attempt, and carries these events.
    #[must_use]
    pub fn new(attempt: &Attempt<'a>, events: &'a [Arc<WebhookEvent>]) -> Self {
        Self {
            endpoint_id: &attempt.endpoint.id,
            url: &attempt.endpoint.url,
            event_id: attempt.event_id,
            event_type: attempt.event_type,
            delivery_id: attempt.delivery_id,
            number: attempt.number,
            events,
            lag: None,
            new_trace: None,
        }
    }
}

impl fmt::Debug for AttemptInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, whose query may be a credential.
        f.debug_struct("AttemptInfo")
            .field("endpoint_id", &self.endpoint_id)
            .field("event_id", &self.event_id)
            .field("event_type", &self.event_type)
            .field("delivery_id", &self.delivery_id)
            .field("number", &self.number)
            .field("events", &self.events.len())
            .field("lag", &self.lag)
            .finish_non_exhaustive()
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AttemptEnd<'a> {
    /// It was made, and this came of it.
    Made(&'a DeliveryResult),
    /// Nothing was sent, for something that this process lacks: it is no attempt.
    NotTried(&'a WebhookError),
    /// It was given up while it ran, since the process ends: it may have arrived, and is no attempt.
    CutOff,
}

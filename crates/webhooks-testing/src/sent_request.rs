//! A request that was to be made.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use webhooks_core::{Attempt, DeliveryId, EventId, Timestamp};

use crate::headers::headers;

/// A request that the system made, as its endpoint would have got it.
#[derive(Clone)]
#[non_exhaustive]
pub struct SentRequest {
    /// When it started, in storage time.
    pub at: Timestamp,
    /// The endpoint.
    pub endpoint_id: String,
    /// The endpoint's URL.
    pub url: String,
    /// The id of the event, or the batch's own.
    pub event_id: EventId,
    /// The type of the event, or of a batch.
    pub event_type: String,
    /// The id of the delivery, or the batch's own.
    pub delivery_id: DeliveryId,
    /// The number of the delivery's attempt, from 1.
    pub attempt: u32,
    /// How many requests its endpoint has had, this one included.
    pub nth: usize,
    /// Its headers with the signatures, all but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// Its body: the envelope of the event.
    pub body: Bytes,
    /// The deadline that it had.
    pub timeout: Duration,
}

impl SentRequest {
    pub(crate) fn new(attempt: &Attempt<'_>, nth: usize) -> Self {
        Self {
            at: attempt.now,
            endpoint_id: attempt.endpoint.id.clone(),
            url: attempt.endpoint.url.clone(),
            event_id: attempt.event_id,
            event_type: attempt.event_type.to_owned(),
            delivery_id: attempt.delivery_id,
            attempt: attempt.number,
            nth,
            headers: headers(attempt),
            body: attempt.body.clone(),
            timeout: attempt.timeout,
        }
    }

    /// The body, read as JSON: `id`, `event`, `timestamp`, `data` and `version`.
    #[must_use]
    pub fn json(&self) -> Value {
        // Whatever the system sends is JSON.
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for SentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers may be credentials, and the payload may be personal, even in a test.
        f.debug_struct("SentRequest")
            .field("at", &self.at)
            .field("endpoint_id", &self.endpoint_id)
            .field("event_id", &self.event_id)
            .field("event_type", &self.event_type)
            .field("delivery_id", &self.delivery_id)
            .field("attempt", &self.attempt)
            .field("nth", &self.nth)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

//! The seam between the scheduler and the network.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    DeliveryId, DeliveryResult, EventId, KeptEndpoint, Result, Timestamp, TraceContext,
    WebhookDelivery, WebhookEndpoint,
};

/// Sends one signed request and says what came of it.
///
/// Called from many tasks at once. It keeps no queue and no retry: when a request starts, and
/// whether another follows, is the scheduler's to say.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Refuses an endpoint that requests could never be sent to. Resolves no name.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`](crate::WebhookError::InvalidEndpoint) with the rule that refuses it.
    fn check(&self, endpoint: &WebhookEndpoint) -> Result<()>;

    /// Sends one request, within the attempt's timeout. Every failure is a value.
    ///
    /// # Errors
    ///
    /// [Not tried](crate::WebhookError::not_tried): nothing was sent, for something that is missing
    /// on this side. It is no attempt, and says nothing of the endpoint.
    ///
    /// A panic is taken for a failed attempt. The future may be dropped at any time, and the
    /// request is then given up.
    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult>;

    /// Drops what is kept ready for an endpoint, because it was changed or deleted.
    ///
    /// Requests that run keep what they have.
    fn forget(&self, endpoint_id: &str);
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn check(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        (**self).check(endpoint)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        (**self).send(attempt).await
    }

    fn forget(&self, endpoint_id: &str) {
        (**self).forget(endpoint_id);
    }
}

/// One request to be made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// Where to.
    pub endpoint: &'a Arc<KeptEndpoint>,
    /// The id of the event, or the batch's own.
    pub event_id: EventId,
    /// The type of the event, or of a batch.
    pub event_type: &'a str,
    /// The id of the delivery, or the batch's own.
    pub delivery_id: DeliveryId,
    /// The number of the attempt, from 1.
    /// In the delivery's series of attempts: a replay begins at 1 again.
    pub number: u32,
    /// The body, as it is signed and sent.
    pub body: &'a Bytes,
    /// Storage time, which the signature carries.
    pub now: Timestamp,
    /// The deadline of the whole attempt, from name resolution to the end of the response's body.
    pub timeout: Duration,
    /// The trace that the request goes on with: its `traceparent` and `tracestate`. None goes out
    /// without.
    pub trace: Option<&'a TraceContext>,
    /// Also an accepted response is read to its end, and at least 1 KiB of it kept, because the
    /// sender wants to know what it says. Else its status is enough.
    pub whole_response: bool,
}

impl<'a> Attempt<'a> {
    /// The first attempt of a delivery, of whose response the status is enough.
    #[must_use]
    pub const fn new(
        endpoint: &'a Arc<KeptEndpoint>,
        (event_id, event_type): (EventId, &'a str),
        delivery_id: DeliveryId,
        body: &'a Bytes,
        now: Timestamp,
        timeout: Duration,
    ) -> Self {
        Self {
            endpoint,
            event_id,
            event_type,
            delivery_id,
            number: 1,
            body,
            now,
            timeout,
            trace: None,
            whole_response: false,
        }
    }

    /// The attempt at a delivery that follows those it has had.
    #[must_use]
    pub fn of(
        delivery: &'a WebhookDelivery,
        endpoint: &'a Arc<KeptEndpoint>,
        now: Timestamp,
        timeout: Duration,
    ) -> Self {
        let event = &delivery.event;
        Self {
            number: delivery.attempts.saturating_add(1),
            ..Self::new(
                endpoint,
                (event.id, &event.event_type),
                delivery.id,
                &event.payload,
                now,
                timeout,
            )
        }
    }
}

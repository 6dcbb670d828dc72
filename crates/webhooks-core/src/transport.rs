//! The seam between the dispatcher and the network.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    DeliveryId, DeliveryResult, EventId, KeptEndpoint, Result, Timestamp, WebhookEndpoint,
};

/// Sends one signed request and says what came of it.
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
    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult>;

    /// Drops what is kept ready for an endpoint, because it was changed or deleted.
    fn forget(&self, endpoint_id: &str);
}

/// One request to be made.
#[derive(Clone, Copy, Debug)]
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
    pub number: u32,
    /// The body, as it is signed and sent.
    pub body: &'a Bytes,
    /// Storage time, which the signature carries.
    pub now: Timestamp,
    /// The deadline of the whole attempt, from name resolution to the end of the response's body.
    pub timeout: Duration,
    /// Also an accepted response is read to its end, and at least 1 KiB of it kept, because the
    /// sender wants to know what it says. Else its status is enough.
    pub whole_response: bool,
}

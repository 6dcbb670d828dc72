//! Asking an endpoint whether it wants our webhooks, before it gets any.
//!
//! An endpoint that is not asked could be somebody else's: whoever registers a stranger's URL would
//! have the system send to it. Only the receiver's own service can answer the challenge.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use webhooks_core::{
    Attempt, DeliveryResult, EventType, KeptEndpoint, PING_EVENT, Result, SendOptions,
    WebhookDelivery, WebhookError, WebhookEvent, random_bytes,
};

use crate::Pipeline;

/// The longest body of the request, which is far shorter.
/// In bytes, with the envelope.
const MAX_BODY: usize = 1_024;

/// The data of the request, and of the response to it.
#[derive(Serialize, Deserialize)]
struct Challenge {
    challenge: String,
}

impl Pipeline {
    /// Sends `webhook.ping` with a random challenge, signed and guarded like any other request, and
    /// not tried again. The endpoint is verified if it responds with 2xx and `{"challenge":"<the same>"}`.
    ///
    /// # Errors
    ///
    /// [`WebhookError::NotVerified`] that says what it did instead, and
    /// [`WebhookError::DeliveryFailed`] when nothing was sent, for something that this process lacks.
    pub async fn ping(&self, endpoint: &Arc<KeptEndpoint>) -> Result<()> {
        let now = self.now();
        let sent = Challenge {
            // 256 bits, new for each request: an answer that was seen before proves nothing.
            challenge: hex(&random_bytes()?),
        };
        let event_type = EventType::new(PING_EVENT)?;
        let event = WebhookEvent::new(event_type, None, &sent, MAX_BODY, now)?;
        let delivery = WebhookDelivery::new(&endpoint.id, Arc::new(event));
        let timeout = self.settings().timeout_of(endpoint);
        let mut attempt = Attempt::of(&delivery, endpoint, now, timeout);
        // The response decides, so that it is read and kept to its end, whatever the engine keeps
        // of others.
        attempt.whole_response = true;
        let result = self.transport().send(&attempt).await;
        // It may have been changed or deleted meanwhile; nobody else would drop what is kept of it.
        self.transport().forget(&endpoint.id);
        let result = result?;
        let id = &endpoint.id;
        let problem = match (result.failure(), result.status) {
            (Some(failure), None) => format!("{id:?} did not respond: {failure}"),
            (Some(_), Some(status)) => format!("{id:?} responded with {status}"),
            (None, _) => match serde_json::from_slice::<Challenge>(&result.response) {
                Ok(response) if response.challenge == sent.challenge => return Ok(()),
                Ok(_) => format!("{id:?} responded with another challenge"),
                Err(_) => format!("{id:?} accepted the ping, but did not answer the challenge"),
            },
        };
        Err(WebhookError::NotVerified(problem.into()))
    }
}

impl Pipeline {
    /// Sends an event to an endpoint once, signed and guarded like any other. Nothing of it is stored,
    /// and nothing is learnt from it.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] and [`WebhookError::SerializationError`] for what is out of its
    /// bounds; [`WebhookError::DeliveryFailed`] when nothing was sent, for something that this process
    /// lacks.
    pub async fn try_endpoint(
        &self,
        endpoint: &Arc<KeptEndpoint>,
        send: &SendOptions<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<DeliveryResult> {
        let (event_type, now) = (send.validate()?, self.now());
        let tenant = send.tenant.map(Into::into);
        let limit = self.settings().max_body_bytes;
        let event = WebhookEvent::new(event_type, tenant, data, limit, now)?;
        let delivery = WebhookDelivery::new(&endpoint.id, Arc::new(event));
        let timeout = self.settings().timeout_of(endpoint);
        let attempt = Attempt::of(&delivery, endpoint, now, timeout);
        self.transport().send(&attempt).await
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

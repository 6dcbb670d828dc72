//! Asking an endpoint whether it wants our webhooks, before it gets any.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use webhooks_core::{
    Attempt, DeliveryId, EventId, EventType, KeptEndpoint, PING_EVENT, Result, WebhookError,
    envelope, random_bytes,
};

use crate::Pipeline;

/// The longest body of the request, which is far shorter.
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
        let event_id = EventId::new(now);
        let sent = Challenge {
            challenge: hex(&random_bytes()?),
        };
        let event_type = EventType::new(PING_EVENT)?;
        let body = envelope(event_id, &event_type, now, &sent, MAX_BODY)?;
        let attempt = Attempt {
            endpoint,
            event_id,
            event_type: PING_EVENT,
            delivery_id: DeliveryId::new(now),
            number: 1,
            body: &body,
            now,
            timeout: self.settings().timeout_of(endpoint),
            whole_response: true,
        };
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

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

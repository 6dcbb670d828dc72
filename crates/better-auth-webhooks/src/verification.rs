//! Making endpoints active that have asked for webhooks.

use webhooks_core::storage::{Expected, GateChange, Saved};
use webhooks_core::{KeptEndpoint, Result, WebhookError};

use crate::WebhookSystem;
use crate::endpoints::{TRIES, changed_meanwhile, readable};

impl WebhookSystem {
    /// Asks an endpoint whether it wants webhooks, and makes it active if it does: one request,
    /// `webhook.ping` with a random challenge, signed and within the network policy like any other,
    /// which the endpoint responds with 2xx and `{"challenge":"<the same>"}`. Call it again after a
    /// failure. An endpoint that is not waiting for it is not asked, and fine.
    ///
    /// See [`require_verification`](crate::WebhookSystemBuilder::require_verification).
    ///
    /// # Errors
    ///
    /// [`WebhookError::NotVerified`] that says what the endpoint did instead, and for one whose URL
    /// was changed meanwhile; [`WebhookError::EndpointNotFound`]; [`WebhookError::StorageError`]
    /// when its credentials cannot be decrypted; see [`WebhookSystem`].
    pub async fn verify_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let pipeline = self.ready().await?;
        let rules = self.endpoint_rules();
        let asked = self.stored(pipeline, endpoint_id).await?;
        readable(&asked)?;
        if !rules.is_unverified(&asked) {
            return Ok(());
        }
        pipeline.ping(&asked.endpoint).await?;

        for _ in 0..TRIES {
            let stored = self.stored(pipeline, endpoint_id).await?;
            if stored.endpoint.url != asked.endpoint.url {
                let text = format!("the url of {endpoint_id:?} was changed meanwhile");
                return Err(WebhookError::NotVerified(text.into()));
            }
            if !rules.is_unverified(&stored) {
                return Ok(());
            }
            // As it was asked, and not as somebody makes it at this moment.
            let mut verified = KeptEndpoint::clone(readable(&stored)?);
            verified.enabled = true;
            let expected = Expected::Definition(stored.definition_revision);
            let storage = pipeline.storage();
            if storage.save_definition(&verified, expected).await? != Saved::Conflict {
                return self
                    .set_gate(pipeline, endpoint_id, GateChange::Enable)
                    .await;
            }
        }
        Err(changed_meanwhile(endpoint_id))
    }
}

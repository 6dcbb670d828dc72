//! Making endpoints active that have asked for webhooks.

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Expected, Saved};
use webhooks_core::{KeptEndpoint, Result, WebhookError, check_endpoint_id};

use crate::WebhookSystem;
use crate::endpoints::{Tried, found, readable};

impl WebhookSystem {
    /// Asks an endpoint whether it wants webhooks, and makes it active if it does: one request,
    /// `webhook.ping` with a random challenge, signed and within the network policy like any other,
    /// which the endpoint responds with 2xx and `{"challenge":"<the same>"}`. Call it again after a
    /// failure. An endpoint that is not waiting for it is not asked, and fine.
    ///
    /// See [`require_verification`](crate::WebhookSystemBuilder::require_verification).
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).require_verification(true).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// use better_auth_webhooks::WebhookError;
    ///
    /// // The endpoint says 200, but does not give the challenge back.
    /// let verified = system.verify_endpoint("endpoint_1").await;
    /// assert!(matches!(verified, Err(WebhookError::NotVerified(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::NotVerified`] that says what the endpoint did instead, and for one whose URL
    /// was changed meanwhile; [`WebhookError::EndpointNotFound`]; [`WebhookError::StorageError`]
    /// when its credentials cannot be decrypted; see [`WebhookSystem`].
    pub async fn verify_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let (pipeline, rules) = (self.ready().await?, self.endpoint_rules());
        check_endpoint_id(endpoint_id)?;
        pipeline.refresh().await?;
        let asked = &found(pipeline.endpoint(endpoint_id), endpoint_id)?;
        readable(asked)?;
        if !rules.is_unverified(asked) {
            return Ok(());
        }
        pipeline.ping(&asked.endpoint).await?;

        self.change_endpoint(endpoint_id, |stored| async move {
            let stored = found(stored, endpoint_id)?;
            if stored.endpoint.url != asked.endpoint.url {
                let text = format!("the url of {endpoint_id:?} was changed meanwhile");
                return Err(WebhookError::NotVerified(text.into()));
            }
            if !rules.is_unverified(&stored) {
                return Ok(Tried::Unchanged);
            }
            // As it was asked, and not as somebody makes it at this moment.
            let mut verified = KeptEndpoint::clone(readable(&stored)?);
            verified.enabled = true;
            let expected = Expected::Revision(stored.definition_revision);
            let storage = pipeline.storage();
            match storage.save_definition(&verified, expected).await? {
                Saved::Stored(_) => self.set_gates(endpoint_id, &[GateChange::Enable]).await,
                Saved::Conflict => Ok(Tried::Conflict),
            }
        })
        .await
    }
}

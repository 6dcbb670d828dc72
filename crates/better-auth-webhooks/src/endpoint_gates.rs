//! What lets the deliveries of endpoints through, by hand.

use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::{Result, WebhookError};

use crate::WebhookSystem;
use crate::endpoints::{Tried, found};

/// What lets deliveries of endpoints through. Changes take effect in this process at once, in others
/// within about a second.
impl WebhookSystem {
    /// Lets an endpoint take events again, after it was disabled by hand, by a 410 or for failing.
    /// What waited goes first one request at a time, then faster. Circuits that any process holds open
    /// for it are closed.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// system.disable_endpoint("endpoint_1").await?;
    /// system.enable_endpoint("endpoint_1").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; [`WebhookError::NotVerified`] for one that is still to be
    /// verified; see [`WebhookSystem`].
    pub async fn enable_endpoint(&self, endpoint_id: &str) -> Result<()> {
        self.change_endpoint(endpoint_id, |stored| async move {
            let stored = found(stored, endpoint_id)?;
            if self.endpoint_rules().is_unverified(&stored) {
                let text = format!("{endpoint_id:?} is to be verified by verify_endpoint");
                return Err(WebhookError::NotVerified(text.into()));
            }
            self.set_gates(endpoint_id, &[GateChange::Enable]).await
        })
        .await
    }

    /// Makes new events make no deliveries for an endpoint; what waits for it keeps waiting.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// system.disable_endpoint("endpoint_1").await?;
    /// let receipt = system.send_webhook("user.created", "data").await?;
    /// assert!(receipt.delivery_ids.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn disable_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let disable = GateChange::Disable(DisabledBy::Operator);
        self.change_gates(endpoint_id, &[disable]).await
    }

    /// Lets deliveries of an endpoint wait, new ones too, until it is resumed.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// system.pause_endpoint("endpoint_1").await?;
    /// let receipt = system.send_webhook("user.created", "data").await?;
    /// assert_eq!(receipt.delivery_ids.len(), 1); // it waits
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn pause_endpoint(&self, endpoint_id: &str) -> Result<()> {
        self.change_gates(endpoint_id, &[GateChange::Pause]).await
    }

    /// Lets what waited for a paused endpoint go, first one request at a time, then faster. Circuits
    /// that any process holds open for it are closed, and the time begins anew after which it is
    /// disabled for failing.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// system.pause_endpoint("endpoint_1").await?;
    /// system.resume_endpoint("endpoint_1").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn resume_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let changes = [GateChange::Resume, GateChange::Reset];
        self.change_gates(endpoint_id, &changes).await
    }

    async fn change_gates(&self, endpoint_id: &str, changes: &[GateChange]) -> Result<()> {
        self.change_endpoint(endpoint_id, |stored| async move {
            found(stored, endpoint_id)?;
            self.set_gates(endpoint_id, changes).await
        })
        .await
    }

    pub(crate) async fn set_gates(
        &self,
        endpoint_id: &str,
        changes: &[GateChange],
    ) -> Result<Tried> {
        let gate = |change: &GateChange| EndpointGate {
            endpoint_id: endpoint_id.into(),
            epoch: None,
            change: *change,
        };
        let gates: Vec<_> = changes.iter().map(gate).collect();
        self.pipeline()?.set_gates(&gates).await?;
        Ok(Tried::Stored)
    }
}

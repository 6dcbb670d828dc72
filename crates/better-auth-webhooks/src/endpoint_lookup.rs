//! The endpoints of a system as they are now.

use std::sync::Arc;

use webhooks_core::storage::EndpointRecord;
use webhooks_core::{Result, WebhookEndpoint, check_endpoint_id};

use crate::WebhookSystem;
use crate::endpoints::found;

impl WebhookSystem {
    /// An endpoint as the storage has it: its definition, what lets its deliveries through, and its
    /// revisions.
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
    /// let record = system.endpoint("endpoint_1").await?;
    /// assert!(record.is_open());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`](crate::WebhookError::EndpointNotFound); see [`WebhookSystem`].
    pub async fn endpoint(&self, endpoint_id: &str) -> Result<Arc<EndpointRecord>> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        pipeline.refresh().await?;
        found(pipeline.endpoint(endpoint_id), endpoint_id)
    }

    /// An endpoint's definition, if there is one with this id.
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
    /// let endpoint = system.get_endpoint("endpoint_1").await?;
    /// assert_eq!(endpoint.map(|endpoint| endpoint.enabled), Some(true));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`](crate::WebhookError::InvalidId) for a text that no endpoint can have as its id, as in all calls
    /// that take one; see [`WebhookSystem`].
    pub async fn get_endpoint(&self, endpoint_id: &str) -> Result<Option<WebhookEndpoint>> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        pipeline.storage().get_endpoint(endpoint_id).await
    }

    /// All endpoints with what lets their deliveries through, by id.
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
    /// for record in system.list_endpoints().await? {
    ///     println!("{} paused: {}", record.endpoint.id, record.gate.paused);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn list_endpoints(&self) -> Result<Vec<Arc<EndpointRecord>>> {
        let pipeline = self.ready().await?;
        pipeline.refresh().await?;
        Ok(pipeline.endpoints())
    }
}

//! What operators look at: counts, groups, workers, numbers over time, and documents.

use std::sync::Arc;

use webhooks_core::storage::{
    Counts, DeliveryQuery, DocumentStore, GroupBy, Groups, StatBucket, StatQuery, WorkerRecord,
};
use webhooks_core::{Result, Timestamp};
use webhooks_delivery::Settings;

use crate::WebhookSystem;

impl WebhookSystem {
    /// How many deliveries match, `at_most` at most: no more are looked at.
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
    /// use better_auth_webhooks::storage::DeliveryQuery;
    ///
    /// system.send_webhook("user.created", "data").await?;
    /// assert_eq!(system.count(&DeliveryQuery::of_endpoint("endpoint_1"), 100_000).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`](crate::WebhookError::InvalidQuery) for a field out of its
    /// bounds; see [`WebhookSystem`].
    pub async fn count(&self, query: &DeliveryQuery, at_most: u64) -> Result<u64> {
        let pipeline = self.ready().await?;
        query.validate()?;
        pipeline.storage().count(query, at_most).await
    }

    /// How many deliveries of those that match have these in common: one to three different ones. The
    /// newest `at_most` are looked at.
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
    /// use better_auth_webhooks::storage::{DeliveryQuery, GroupBy};
    ///
    /// system.send_webhook("user.created", "data").await?;
    ///
    /// let by = [GroupBy::EndpointId, GroupBy::EventType];
    /// let groups = system.count_by(&DeliveryQuery::default(), &by, 100_000).await?.groups;
    /// assert_eq!(groups[0].count, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        let pipeline = self.ready().await?;
        query.validate()?;
        GroupBy::validate(by)?;
        pipeline.storage().count_by(query, by, at_most).await
    }

    /// How many deliveries of each of these endpoints are in each state, in order.
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
    /// system.send_webhook("user.created", "data").await?;
    ///
    /// let counts = system.counts_of(&["endpoint_1".into(), "unknown".into()]).await?;
    /// assert_eq!((counts[0].enqueued, counts[1].enqueued), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        self.ready().await?.storage().counts_of(endpoint_ids).await
    }

    /// Since when the longest waiting delivery has been ready, of those that are first in the queue of
    /// an endpoint that is neither disabled nor paused: what to alert on.
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
    /// assert!(system.oldest_ready().await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn oldest_ready(&self) -> Result<Option<Timestamp>> {
        let pipeline = self.ready().await?;
        pipeline.storage().oldest_ready(pipeline.now()).await
    }

    /// The processes that deliver from this storage, by id.
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
    /// let workers = system.workers().await?;
    /// assert!(workers[0].leased <= 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.ready().await?.storage().workers().await
    }

    /// Numbers over time: what was sent, delivered, failed and given up, by minute or hour. They are
    /// written every ten seconds; a process that dies loses what came since.
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
    /// use better_auth_webhooks::Timestamp;
    /// use better_auth_webhooks::storage::{StatQuery, StatResolution};
    ///
    /// let now = system.now()?;
    /// let query = StatQuery {
    ///     endpoint_ids: None,
    ///     from: now.before(std::time::Duration::from_secs(3_600)),
    ///     to: now,
    ///     resolution: StatResolution::Minute,
    ///     per_endpoint: false,
    /// };
    /// for bucket in system.stats(&query).await? {
    ///     println!("{}: {} delivered", bucket.at, bucket.numbers.delivered);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        let pipeline = self.ready().await?;
        query.validate()?;
        pipeline.storage().stats(query).await
    }

    /// Where documents are kept beside the deliveries, if the storage keeps any.
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
    /// use better_auth_webhooks::storage::{Document, DocumentQuery, Expected};
    ///
    /// let now = system.now()?;
    /// if let Some(documents) = system.documents()? {
    ///     let note = Document::new("n1", "{}");
    ///     let _saved = documents.put("note", &note, Expected::Absent, now).await?;
    ///     assert_eq!(documents.get("note", "n1", now).await?.map(|note| note.value), Some("{}".into()));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Only for a system that was built with an invalid setting.
    pub fn documents(&self) -> Result<Option<&dyn DocumentStore>> {
        Ok(self.pipeline()?.storage().documents())
    }

    /// The time, as the storage tells it.
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
    /// println!("{}", system.now()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`documents`](Self::documents).
    pub fn now(&self) -> Result<Timestamp> {
        Ok(self.pipeline()?.now())
    }

    /// The settings of this process.
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
    /// println!("{} requests in flight at most", system.settings()?.max_in_flight);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`documents`](Self::documents).
    pub fn settings(&self) -> Result<&Settings> {
        Ok(self.pipeline()?.settings())
    }
}

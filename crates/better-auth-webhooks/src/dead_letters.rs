//! The dead letter queue of a system.

use webhooks_core::storage::{Change, DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{DeliveryState, Result, WebhookError};

use crate::WebhookSystem;

/// Deliveries that were given up: to be looked at, replayed, or purged. Of a query's `states` only
/// the dead ones count here.
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
/// # transport.reply("endpoint_1", [413]);
/// use better_auth_webhooks::storage::DeliveryQuery;
///
/// system.send_webhook("user.created", "data").await?;
/// system.drain(std::time::Duration::from_secs(10)).await?;
///
/// let letters = system.dead_letters();
/// for letter in letters.list(&DeliveryQuery::default()).await?.items {
///     println!("{}: {:?}", letter.delivery.id, letter.dead_reason);
///     letters.replay(&letter.delivery.id.to_string()).await?;
/// }
/// # assert!(system.drain(std::time::Duration::from_secs(10)).await?);
/// # assert_eq!(system.get_metrics().await?.failed_deliveries, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeadLetters {
    system: WebhookSystem,
}

impl WebhookSystem {
    /// The dead letter queue.
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
    /// let page = system.dead_letters().list(&DeliveryQuery::default()).await?;
    /// assert!(page.items.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.clone())
    }
}

impl DeadLetters {
    pub(crate) const fn new(system: WebhookSystem) -> Self {
        Self { system }
    }

    /// Dead letters that match, newest first, in pages, each with its reason and attempts.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// use better_auth_webhooks::storage::DeliveryQuery;
    ///
    /// let letters = system.dead_letters();
    /// let page = letters.list(&DeliveryQuery { limit: 10, ..Default::default() }).await?;
    /// assert!(page.items.len() <= 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn list(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let query = DeliveryQuery {
            with_attempts: true,
            ..dead(query)
        };
        self.system.deliveries(&query).await
    }

    /// One dead letter with its reason and attempts.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// # let id = receipt.delivery_ids[0].as_str();
    /// let letter = system.dead_letters().inspect(id).await?;
    /// assert_eq!(letter.attempts[0].status, Some(413));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::DeliveryNotFound`]; see [`WebhookSystem`].
    pub async fn inspect(&self, delivery_id: &str) -> Result<DeliveryRecord> {
        let record = self.system.delivery(delivery_id).await?;
        match record.state {
            DeliveryState::Dead => Ok(record),
            _ => Err(WebhookError::DeliveryNotFound(
                format!("{delivery_id} is no dead letter").into(),
            )),
        }
    }

    /// Sends one dead letter again, as the same event, with a new series of attempts.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// # let id = receipt.delivery_ids[0].as_str();
    /// system.dead_letters().replay(id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::DeliveryNotFound`] when it is no dead letter
    /// or its endpoint is deleted; see [`WebhookSystem`].
    pub async fn replay(&self, delivery_id: &str) -> Result<()> {
        self.change_one(delivery_id, Change::Replay).await
    }

    /// Sends all dead letters that match again; how many.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// use better_auth_webhooks::storage::DeliveryQuery;
    ///
    /// let query = DeliveryQuery::of_endpoint("endpoint_1");
    /// assert_eq!(system.dead_letters().replay_all(&query).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn replay_all(&self, query: &DeliveryQuery) -> Result<usize> {
        self.system.change(&dead(query), Change::Replay).await
    }

    /// Drops one dead letter.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// # let id = receipt.delivery_ids[0].as_str();
    /// system.dead_letters().purge(id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`replay`](Self::replay).
    pub async fn purge(&self, delivery_id: &str) -> Result<()> {
        self.change_one(delivery_id, Change::Purge).await
    }

    /// Drops all dead letters that match; how many.
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
    /// # transport.reply("endpoint_1", [413]);
    /// # let receipt = system.send_webhook("user.created", "data").await?;
    /// # system.drain(std::time::Duration::from_secs(10)).await?;
    /// use better_auth_webhooks::storage::DeliveryQuery;
    ///
    /// assert_eq!(system.dead_letters().purge_all(&DeliveryQuery::default()).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn purge_all(&self, query: &DeliveryQuery) -> Result<usize> {
        self.system.change(&dead(query), Change::Purge).await
    }

    async fn change_one(&self, delivery_id: &str, to: Change) -> Result<()> {
        let record = self.inspect(delivery_id).await?;
        match self.system.change_one(&record, to).await? {
            true => Ok(()),
            false => Err(WebhookError::DeliveryNotFound(
                format!("{delivery_id} is no dead letter of an endpoint that exists").into(),
            )),
        }
    }
}

fn dead(query: &DeliveryQuery) -> DeliveryQuery {
    DeliveryQuery {
        states: vec![DeliveryState::Dead],
        ..query.clone()
    }
}

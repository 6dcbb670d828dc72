//! The deliveries of a system.

use std::time::Duration;

use webhooks_core::storage::{Change, Changed, DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{DeliveryId, Result, WebhookError};

use crate::WebhookSystem;

/// Rows of one call when many are changed.
const BATCH: usize = 1_000;
/// How often a step is tried again, after pauses that double.
const RETRIES: u32 = 6;
/// The first of these pauses.
const PAUSE: Duration = Duration::from_millis(50);

/// Deliveries, in every state.
impl WebhookSystem {
    /// Deliveries that match, newest first, in pages: pass a page's `next` as `before`.
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
    /// let query = DeliveryQuery::of_endpoint("endpoint_1");
    /// let mut page = system.deliveries(&query).await?;
    /// while let Some(before) = page.next {
    ///     page = system.deliveries(&DeliveryQuery { before: Some(before), ..query.clone() }).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] for a field out of its bounds; see [`WebhookSystem`].
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let pipeline = self.ready().await?;
        // Here too, for storages of others.
        query.validate()?;
        pipeline.storage().deliveries(query).await
    }

    /// One delivery with its state and its attempts, as long as the retention keeps them.
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
    /// let receipt = system.send_webhook("user.created", "data").await?;
    /// system.drain(std::time::Duration::from_secs(10)).await?;
    ///
    /// let delivery = system.delivery(&receipt.delivery_ids[0]).await?;
    /// assert_eq!(delivery.attempts[0].status, Some(200));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::DeliveryNotFound`]; see [`WebhookSystem`].
    pub async fn delivery(&self, delivery_id: &str) -> Result<DeliveryRecord> {
        let id: DeliveryId = delivery_id.parse()?;
        let query = DeliveryQuery {
            with_attempts: true,
            ..DeliveryQuery::of_delivery(id)
        };
        let found = self.deliveries(&query).await?.items.into_iter().next();
        found.ok_or_else(|| WebhookError::DeliveryNotFound(delivery_id.into()))
    }

    /// Cancels the deliveries that match and wait; how many. A delivery that a process has
    /// taken to send is not.
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
    /// system.pause_endpoint("endpoint_1").await?;
    /// system.send_webhook("user.created", "data").await?;
    ///
    /// let query = DeliveryQuery::of_endpoint("endpoint_1");
    /// assert_eq!(system.cancel(&query).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn cancel(&self, query: &DeliveryQuery) -> Result<usize> {
        self.change(query, Change::Cancel).await
    }

    /// Sends one delivery that has ended again, however it ended, as the same event, with a new series
    /// of attempts.
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
    /// let receipt = system.send_webhook("user.created", "data").await?;
    /// system.drain(std::time::Duration::from_secs(10)).await?;
    ///
    /// system.resend(&receipt.delivery_ids[0]).await?;
    /// system.drain(std::time::Duration::from_secs(10)).await?;
    /// assert_eq!(transport.requests().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`]; [`WebhookError::DeliveryNotFound`] when it has not ended, or its
    /// endpoint is deleted or replaced; [`WebhookError::PayloadErased`]; see [`WebhookSystem`].
    pub async fn resend(&self, delivery_id: &str) -> Result<()> {
        let record = self.delivery(delivery_id).await?;
        if self.change_one(&record, Change::Resend).await? {
            return Ok(());
        }
        if record.delivery.event.payload.is_empty() {
            return Err(WebhookError::PayloadErased(delivery_id.into()));
        }
        let text = format!(
            "{delivery_id} is {}, or its endpoint is no more",
            record.state
        );
        Err(WebhookError::DeliveryNotFound(text.into()))
    }

    /// Drops the payloads of all deliveries that match, such as those of one event or one tenant;
    /// how many. Those that wait are cancelled.
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
    /// system.webhook("user.created").tenant("org_1").send().await?;
    ///
    /// let query = DeliveryQuery { tenant: Some("org_1".into()), ..Default::default() };
    /// assert_eq!(system.erase_payloads(&query).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn erase_payloads(&self, query: &DeliveryQuery) -> Result<usize> {
        self.change(query, Change::Erase).await
    }

    /// Changes up to `limit` deliveries that match, newest first: one step of a walk that its caller
    /// can stop and resume. To go on, pass the answer's `next` as the query's `before`; with
    /// [`updated_before`](DeliveryQuery::updated_before) set to the walk's beginning, what an
    /// earlier step has changed is not met again, whatever became of it.
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
    /// use better_auth_webhooks::storage::{Change, DeliveryQuery};
    ///
    /// let mut query = DeliveryQuery::default();
    /// loop {
    ///     let step = system.change_some(&query, Change::Replay, 100).await?;
    ///     println!("{} replayed", step.changed);
    ///     if step.next.is_none() {
    ///         break;
    ///     }
    ///     query.before = step.next; // keep it, to resume after a restart
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn change_some(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
    ) -> Result<Changed> {
        let pipeline = self.ready().await?;
        DeliveryQuery {
            limit,
            ..query.clone()
        }
        .validate()?;
        let now = pipeline.now();
        let changed = pipeline.storage().change(query, to, limit, now).await;
        // After an error too: perhaps only the answer was lost.
        pipeline.look_for_work();
        changed
    }

    /// Changes everything that matches at the time of the call, each once.
    pub(crate) async fn change(&self, query: &DeliveryQuery, to: Change) -> Result<usize> {
        let storage = self.ready().await?.storage();
        // The storage's own time. That of a node may be ahead by a moment: what it has just stored with
        // it counts as changed after the call.
        let began = storage.beat(None, None).await?.now;
        let began = began.after(Duration::from_millis(1));
        let mut query = query.clone();
        // What is to be erased is so also where its state has changed meanwhile.
        if to != Change::Erase {
            query.updated_before = Some(query.updated_before.map_or(began, |at| at.min(began)));
        }
        self.change_in_steps(query, to).await
    }

    /// Changes one delivery, unless it has changed since it was read; whether that was done.
    ///
    /// Not by the time: the node that has just settled it may be a moment ahead of the storage.
    pub(crate) async fn change_one(&self, record: &DeliveryRecord, to: Change) -> Result<bool> {
        let query = DeliveryQuery {
            updated_before: Some(record.updated_at.after(Duration::from_millis(1))),
            ..DeliveryQuery::of_delivery(record.delivery.id)
        };
        Ok(self.change_in_steps(query, to).await? > 0)
    }

    async fn change_in_steps(&self, mut query: DeliveryQuery, to: Change) -> Result<usize> {
        let (mut changed, mut failures) = (0, 0);
        loop {
            match self.change_some(&query, to, BATCH).await {
                Ok(some) => {
                    changed += some.changed;
                    failures = 0;
                    if some.next.is_none() {
                        return Ok(changed);
                    }
                    query.before = some.next;
                }
                // The same step again changes nothing twice.
                Err(error) if error.is_transient() && failures < RETRIES => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
                    failures += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

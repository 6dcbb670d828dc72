//! The deliveries of a system.

use webhooks_core::storage::{Change, DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{DeliveryId, Result, WebhookError};

use crate::WebhookSystem;

/// Rows of one call when many are changed.
const BATCH: usize = 1_000;

/// Deliveries, in every state.
impl WebhookSystem {
    /// Deliveries that match, newest first, in pages: pass a page's `next` as `before`.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        self.ready().await?.storage().deliveries(query).await
    }

    /// One delivery with its state and its attempts, as long as the retention keeps them.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::DeliveryNotFound`]; see [`WebhookSystem`].
    pub async fn delivery(&self, delivery_id: &str) -> Result<DeliveryRecord> {
        let id: DeliveryId = delivery_id.parse()?;
        let query = DeliveryQuery {
            id: Some(id),
            with_attempts: true,
            ..DeliveryQuery::default()
        };
        let found = self.deliveries(&query).await?.items.into_iter().next();
        found.ok_or_else(|| WebhookError::DeliveryNotFound(delivery_id.into()))
    }

    /// Cancels the deliveries that match and wait; how many. A delivery that a process has
    /// taken to send is not.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn cancel(&self, query: &DeliveryQuery) -> Result<usize> {
        self.change(query, Change::Cancel).await
    }

    /// Drops the payloads of all deliveries that match, such as those of one event or one tenant;
    /// how many. Those that wait are cancelled.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn erase_payloads(&self, query: &DeliveryQuery) -> Result<usize> {
        self.change(query, Change::Erase).await
    }

    /// Changes everything that matches at the time of the call, in batches.
    pub(crate) async fn change(&self, query: &DeliveryQuery, to: Change) -> Result<usize> {
        let pipeline = self.ready().await?;
        let mut changed = 0;
        // What is replayed may die again at once: as many as there are deliveries bound the loop.
        let counts = pipeline
            .storage()
            .counts(query.endpoint_id.as_deref())
            .await?;
        let most = usize::try_from(counts.enqueued).unwrap_or(usize::MAX);
        while changed < most {
            let now = pipeline.now();
            let batch = pipeline.storage().change(query, to, BATCH, now).await?;
            changed += batch;
            if batch < BATCH {
                break;
            }
        }
        pipeline.look_for_work();
        Ok(changed)
    }
}

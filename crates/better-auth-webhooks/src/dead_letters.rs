//! The dead letter queue of a system.

use webhooks_core::storage::{Change, DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{DeliveryId, DeliveryState, Result, WebhookError};

use crate::WebhookSystem;

/// Deliveries that were given up: to be looked at, replayed, or purged. Of a query's `states` only
/// the dead ones count here.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    system: WebhookSystem,
}

impl WebhookSystem {
    /// The dead letter queue.
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
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::DeliveryNotFound`] when it is no dead letter
    /// or its endpoint is deleted; see [`WebhookSystem`].
    pub async fn replay(&self, delivery_id: &str) -> Result<()> {
        self.change_one(delivery_id, Change::Replay).await
    }

    /// Sends all dead letters that match again; how many.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn replay_all(&self, query: &DeliveryQuery) -> Result<usize> {
        self.system.change(&dead(query), Change::Replay).await
    }

    /// Drops one dead letter.
    ///
    /// # Errors
    ///
    /// As [`replay`](Self::replay).
    pub async fn purge(&self, delivery_id: &str) -> Result<()> {
        self.change_one(delivery_id, Change::Purge).await
    }

    /// Drops all dead letters that match; how many.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn purge_all(&self, query: &DeliveryQuery) -> Result<usize> {
        self.system.change(&dead(query), Change::Purge).await
    }

    async fn change_one(&self, delivery_id: &str, to: Change) -> Result<()> {
        let id: DeliveryId = delivery_id.parse()?;
        let query = DeliveryQuery {
            id: Some(id),
            ..DeliveryQuery::default()
        };
        match self.system.change(&dead(&query), to).await? {
            0 => Err(WebhookError::DeliveryNotFound(
                format!("{delivery_id} is no dead letter of an endpoint that exists").into(),
            )),
            _ => Ok(()),
        }
    }
}

fn dead(query: &DeliveryQuery) -> DeliveryQuery {
    DeliveryQuery {
        states: vec![DeliveryState::Dead],
        ..query.clone()
    }
}

//! Sending.

use serde::Serialize;
use webhooks_core::{Result, WebhookError};
use webhooks_delivery::Outgoing;

use crate::event_builder::{EventBuilder, OutgoingEvent, SendReceipt};
use crate::system::WebhookSystem;

impl WebhookSystem {
    /// Sends an event with this data to every endpoint that takes it. Once this returns, it is
    /// delivered or ends in the dead letter queue, whatever crashes (as far as the storage is
    /// durable).
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] or [`WebhookError::SerializationError`] for an event type,
    /// body or field out of its bounds, before anything is stored; [`WebhookError::Overloaded`]
    /// when a queue is full; [`WebhookError::ShutDown`] after [`shutdown`](Self::shutdown).
    pub async fn send_webhook(&self, event: &str, data: impl Serialize) -> Result<SendReceipt> {
        let sent = self.pipeline()?.send(&Outgoing::new(event), &data).await?;
        Ok(sent.into())
    }

    /// Starts an event with options: priority, delay, idempotency key, tenant, one endpoint only.
    pub fn webhook(&self, event: &str) -> EventBuilder {
        EventBuilder::new(self.clone(), event)
    }

    /// Sends several events, at most 1,000: one answer for each, in order. They are stored in one
    /// commit if they have 256 deliveries at most, else in several, one after the other.
    ///
    /// # Errors
    ///
    /// As [`send_webhook`](Self::send_webhook). What concerns one event is its own answer; what
    /// concerns the storage is that of the call; or, once a commit is stored, of the events behind
    /// it. A batch that makes more than 1,000,000 deliveries is refused before anything is stored.
    pub async fn send_batch(
        &self,
        events: impl IntoIterator<Item = OutgoingEvent>,
    ) -> Result<Vec<Result<SendReceipt>>> {
        let events: Vec<_> = events.into_iter().collect();
        let pipeline = self.pipeline()?;
        let readable: Vec<_> = events
            .iter()
            .map(|event| Ok((event.outgoing(), event.json()?)))
            .collect();
        let good: Vec<_> = readable
            .iter()
            .filter_map(|event| event.as_ref().ok().cloned())
            .collect();
        let mut sent = pipeline.send_all(&good).await?.into_iter();
        let lost = || Err(WebhookError::StorageError("an answer is missing".into()));
        let answer = |event: Result<_>| {
            event
                .and_then(|_| sent.next().unwrap_or_else(lost))
                .map(SendReceipt::from)
        };
        Ok(readable.into_iter().map(answer).collect())
    }
}

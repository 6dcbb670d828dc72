//! Sending.

use serde::Serialize;
use tracing::{Instrument, Span, field};
use webhooks_core::{DeliveryResult, Result, SendOptions};

use crate::endpoints::readable;
use crate::event_builder::{EventBuilder, OutgoingEvent, SendReceipt};
use crate::system::WebhookSystem;

impl WebhookSystem {
    /// Sends an event with this data to every endpoint that takes it. Once this returns, it is
    /// delivered or ends in the dead letter queue, whatever crashes (as far as the storage is
    /// durable).
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
    /// use serde_json::json;
    ///
    /// let receipt = system.send_webhook("user.created", json!({ "user_id": "123" })).await?;
    /// assert_eq!(receipt.delivery_ids.len(), 1); // one endpoint takes it
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`](crate::WebhookError::InvalidEvent) or [`WebhookError::SerializationError`](crate::WebhookError::SerializationError) for an event type,
    /// body or field out of its bounds, before anything is stored; [`WebhookError::Overloaded`](crate::WebhookError::Overloaded)
    /// when a queue is full; [`WebhookError::ShutDown`](crate::WebhookError::ShutDown) after [`shutdown`](Self::shutdown).
    ///
    /// [`WebhookError::InvalidEvent`](crate::WebhookError::InvalidEvent): webhooks_core::WebhookError::InvalidEvent
    /// [`WebhookError::SerializationError`](crate::WebhookError::SerializationError): webhooks_core::WebhookError::SerializationError
    /// [`WebhookError::Overloaded`](crate::WebhookError::Overloaded): webhooks_core::WebhookError::Overloaded
    /// [`WebhookError::ShutDown`](crate::WebhookError::ShutDown): webhooks_core::WebhookError::ShutDown
    pub async fn send_webhook(&self, event: &str, data: impl Serialize) -> Result<SendReceipt> {
        self.send(&SendOptions::new(event), &data).await
    }

    /// Sends one event with its options, as [`send_webhook`](Self::send_webhook) does.
    ///
    /// # Errors
    ///
    /// As [`send_webhook`](Self::send_webhook).
    pub async fn send_event(&self, event: &OutgoingEvent) -> Result<SendReceipt> {
        self.send(&event.options(), event.event_data()).await
    }

    #[tracing::instrument(
        name = "send",
        skip_all,
        fields(event_type = options.event_type, event_id)
    )]
    pub(crate) async fn send(
        &self,
        options: &SendOptions<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<SendReceipt> {
        let sent = self.pipeline()?.send(options, data).await?;
        Span::current().record("event_id", field::display(sent.event_id));
        Ok(sent.into())
    }

    /// Starts an event with options: priority, delay, idempotency key, tenant, one endpoint only.
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
    /// use std::time::Duration;
    ///
    /// use better_auth_webhooks::Priority;
    ///
    /// let receipt = system
    ///     .webhook("user.created")
    ///     .data("anything that can be written as JSON")
    ///     .priority(Priority::High)
    ///     .delay(Duration::from_secs(5))
    ///     .idempotency_key("signup-123")
    ///     .send()
    ///     .await?;
    /// # assert_eq!(receipt.delivery_ids.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn webhook(&self, event: &str) -> EventBuilder {
        EventBuilder::new(self.clone(), event)
    }

    /// Sends several events, at most 1,000: one answer for each, in order. They are stored in one
    /// commit if they have 256 deliveries at most, else in several, one after the other.
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
    /// use better_auth_webhooks::OutgoingEvent;
    ///
    /// let events = ["1", "2"].map(|id| OutgoingEvent::new("user.created").data(id));
    /// for sent in system.send_batch(events).await? {
    ///     println!("{}", sent?.event_id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
        let to_send = events
            .iter()
            .map(|event| (event.options(), event.event_data()));
        let to_send: Vec<_> = to_send.collect();
        let span = tracing::info_span!("send", events = events.len());
        let sent = self.pipeline()?.send_all(&to_send).instrument(span).await?;
        Ok(sent.into_iter().map(|sent| sent.map(Into::into)).collect())
    }

    /// Sends an event to an endpoint once, and says what came of it: signed and within the network policy
    /// like any other, but nothing is stored, nothing is tried again, and neither circuit nor health
    /// of the endpoint change. Its rate limit is not looked at.
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
    /// use better_auth_webhooks::OutgoingEvent;
    ///
    /// let event = OutgoingEvent::new("user.created").data("a test");
    /// let result = system.try_endpoint("endpoint_1", &event).await?;
    /// assert!(result.is_delivered());
    /// assert_eq!(system.get_metrics().await?.total_deliveries, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`](crate::WebhookError::EndpointNotFound); [`WebhookError::InvalidEvent`](crate::WebhookError::InvalidEvent) or
    /// [`WebhookError::SerializationError`](crate::WebhookError::SerializationError) for a field of the event out of its bounds;
    /// [`WebhookError::DeliveryFailed`](crate::WebhookError::DeliveryFailed) when nothing was sent, for something that this process
    /// lacks; see [`WebhookSystem`].
    pub async fn try_endpoint(
        &self,
        endpoint_id: &str,
        event: &OutgoingEvent,
    ) -> Result<DeliveryResult> {
        let record = self.endpoint(endpoint_id).await?;
        readable(&record)?;
        let pipeline = self.pipeline()?;
        let (options, data) = (event.options(), event.event_data());
        pipeline
            .try_endpoint(&record.endpoint, &options, data)
            .await
    }
}

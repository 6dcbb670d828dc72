//! The events of a system.

use std::collections::HashSet;

use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery, NewDelivery};
use webhooks_core::storage::{EndpointRecord, EventQuery, EventRecord, Page};
use webhooks_core::{
    ContentFilter, DeliveryId, DeliveryOrder, EventContent, EventFilter, EventId, Result,
    Timestamp, WebhookError, WebhookEvent, check_endpoint_id,
};

use crate::WebhookSystem;
use crate::endpoints::found;

/// Events that one step of a walk looks at.
const STEP: usize = 1_000;
/// Deliveries that are made in one commit at most.
const COMMIT: usize = 256;
/// Payloads that are read at once for a filter to look at, and their bytes, unless one alone has more.
const READ: usize = 100;
const READ_BYTES: usize = 4 << 20;

/// Events, which are kept for their [retention](crate::storage::Retention::events), also those that
/// no endpoint took unless the system was [told otherwise](crate::WebhookSystemBuilder::keep_unmatched).
impl WebhookSystem {
    /// Events that match, newest first, in pages: pass a page's `next` as `before`.
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
    /// use better_auth_webhooks::storage::EventQuery;
    ///
    /// system.send_webhook("user.created", "data").await?;
    ///
    /// let events = system.events(&EventQuery::default()).await?.items;
    /// assert_eq!(events[0].deliveries.total(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] for a field out of its bounds; see [`WebhookSystem`].
    pub async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        let pipeline = self.ready().await?;
        // Here too, for storages of others.
        query.validate()?;
        pipeline.storage().events(query).await
    }

    /// One event with its payload.
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
    ///
    /// let record = system.event(&receipt.event_id).await?;
    /// assert_eq!(record.payload_bytes, record.event.payload.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::EventNotFound`]; see [`WebhookSystem`].
    pub async fn event(&self, event_id: &str) -> Result<EventRecord> {
        let query = EventQuery {
            ids: Some(vec![event_id.parse()?]),
            with_payload: true,
            ..EventQuery::default()
        };
        let found = self.events(&query).await?.items.into_iter().next();
        found.ok_or_else(|| WebhookError::EventNotFound(event_id.into()))
    }

    /// Delivers an event that is kept to one more endpoint, whatever its filters say; the id of the
    /// delivery. It is sent as if the event was sent now, with the event's id and payload.
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
    /// let receipt = system.send_webhook("order.paid", "data").await?;
    /// assert!(receipt.delivery_ids.is_empty()); // nobody takes it
    ///
    /// system.deliver_event(&receipt.event_id, "endpoint_1").await?;
    /// system.drain(std::time::Duration::from_secs(10)).await?;
    /// assert_eq!(system.get_metrics().await?.successful_deliveries, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`], [`WebhookError::EventNotFound`],
    /// [`WebhookError::EndpointNotFound`]; [`WebhookError::DeliveryExists`] when the event has a
    /// delivery to this endpoint, which can be [resent](Self::resend);
    /// [`WebhookError::PayloadErased`]; see [`WebhookSystem`].
    pub async fn deliver_event(&self, event_id: &str, endpoint_id: &str) -> Result<DeliveryId> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        let record = self.event(event_id).await?;
        pipeline.refresh().await?;
        let endpoint = found(pipeline.endpoint(endpoint_id), endpoint_id)?;
        let delivery = delivery(&endpoint, &record.event, true);
        let id = delivery.delivery.id;
        let now = pipeline.now();
        let done = pipeline.storage().deliver_events(&[delivery], now).await;
        pipeline.look_for_work();
        match done?.first() {
            Some(DeliveredEvent::Stored | DeliveredEvent::Dead) => Ok(id),
            Some(DeliveredEvent::Exists(exists)) => {
                Err(WebhookError::DeliveryExists(exists.to_string().into()))
            }
            Some(DeliveredEvent::Missing) => {
                Err(WebhookError::EndpointNotFound(endpoint_id.into()))
            }
            Some(DeliveredEvent::Erased) => Err(WebhookError::PayloadErased(event_id.into())),
            Some(DeliveredEvent::NoEvent) => Err(WebhookError::EventNotFound(event_id.into())),
            None => Err(WebhookError::StorageError(
                "the storage gave no answer".into(),
            )),
        }
    }

    /// Delivers to an endpoint what its filters take of the events that are kept and were sent at
    /// this time or later, and that it has not had, oldest first; how many. It is for an endpoint that
    /// came late, or whose filters were too narrow.
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
    /// use better_auth_webhooks::{Timestamp, WebhookEndpoint};
    ///
    /// system.send_webhook("order.paid", "data").await?; // nobody takes it
    /// let mut endpoint = system.get_endpoint("endpoint_1").await?.unwrap_or_default();
    /// endpoint.events.push("order.*".to_string());
    /// system.update_endpoint(endpoint).await?;
    ///
    /// assert_eq!(system.replay_missing("endpoint_1", Timestamp::EPOCH).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`replay_missing_some`](Self::replay_missing_some). What was made until then stays made,
    /// and is not made again.
    pub async fn replay_missing(&self, endpoint_id: &str, since: Timestamp) -> Result<usize> {
        let began = self.ready().await?.storage().beat(None, None).await?.now;
        let mut query = EventQuery {
            from: Some(since),
            to: Some(began.after(std::time::Duration::from_millis(1))),
            limit: STEP,
            ..EventQuery::default()
        };
        let mut made = 0;
        loop {
            let step = self.replay_missing_some(endpoint_id, &query).await?;
            made += step.items.len();
            query.after = step.next;
            if query.after.is_none() {
                return Ok(made);
            }
        }
    }

    /// One step of [`replay_missing`](Self::replay_missing), which its caller can stop and resume: looks
    /// at the first events that match, `limit` at most, and makes what the endpoint has missed of
    /// them. The answer names the deliveries that were made, and what to pass as `after` to go on.
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
    /// use better_auth_webhooks::storage::EventQuery;
    ///
    /// let mut query = EventQuery::default();
    /// loop {
    ///     let step = system.replay_missing_some("endpoint_1", &query).await?;
    ///     println!("{} more", step.items.len());
    ///     query.after = step.next; // keep it, to resume after a restart
    ///     if query.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; [`WebhookError::InvalidQuery`] for a field out of its
    /// bounds; see [`WebhookSystem`].
    pub async fn replay_missing_some(
        &self,
        endpoint_id: &str,
        query: &EventQuery,
    ) -> Result<Page<DeliveryId, EventId>> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        pipeline.refresh().await?;
        let endpoint = found(pipeline.endpoint(endpoint_id), endpoint_id)?;
        let filters = endpoint.endpoint.filters()?;
        let mut query = query.clone();
        query.after = query.after.or(Some(EventId::MIN));
        if query.tenant.is_none() {
            query.tenant = endpoint.endpoint.tenant.as_deref().map(Into::into);
        }
        let page = self.events(&query).await?;
        let missed = page
            .items
            .iter()
            .filter(|record| !record.payload_erased && takes(&endpoint, &filters, &record.event));
        let mut missed: Vec<_> = missed.collect();
        if let Some(filter) = &endpoint.endpoint.filter {
            let passing = self.passing(filter, &missed).await?;
            missed.retain(|record| passing.contains(&record.event.id));
        }
        let missed: Vec<_> = missed
            .into_iter()
            .map(|record| delivery(&endpoint, &record.event, false))
            .collect();
        let mut made = Vec::new();
        for some in missed.chunks(COMMIT) {
            let done = pipeline
                .storage()
                .deliver_events(some, pipeline.now())
                .await?;
            let done = some.iter().zip(done);
            let is_new = |done| matches!(done, DeliveredEvent::Stored | DeliveredEvent::Dead);
            made.extend(done.filter_map(|(new, done)| is_new(done).then_some(new.delivery.id)));
        }
        pipeline.look_for_work();
        Ok(Page::new(made, page.next))
    }

    /// Which of these events pass a filter. Their payloads are read a few at a time, since a page of
    /// them may be gigabytes.
    async fn passing(
        &self,
        filter: &ContentFilter,
        events: &[&EventRecord],
    ) -> Result<HashSet<EventId>> {
        let mut passing = HashSet::new();
        let mut rest = events.iter().copied().peekable();
        while rest.peek().is_some() {
            let mut left = READ_BYTES;
            let mut ids = Vec::new();
            // One at least, however large.
            while let Some(event) = rest
                .next_if(|event| ids.is_empty() || event.payload_bytes <= left && ids.len() < READ)
            {
                left = left.saturating_sub(event.payload_bytes);
                ids.push(event.event.id);
            }
            let query = EventQuery {
                limit: ids.len(),
                ids: Some(ids),
                with_payload: true,
                ..EventQuery::default()
            };
            for record in self.events(&query).await?.items {
                if filter.matches(&EventContent::of(&record.event)) {
                    passing.insert(record.event.id);
                }
            }
        }
        Ok(passing)
    }
}

/// Whether an endpoint is for this event: by its tenant and its type.
fn takes(endpoint: &EndpointRecord, filters: &[EventFilter], event: &WebhookEvent) -> bool {
    let tenant = endpoint.endpoint.tenant.as_deref();
    (tenant.is_none() || tenant == event.tenant.as_deref())
        && filters
            .iter()
            .any(|filter| filter.matches(&event.event_type))
}

/// One more delivery of an event.
fn delivery(endpoint: &EndpointRecord, event: &WebhookEvent, by_name: bool) -> EventDelivery {
    let definition = &endpoint.endpoint;
    EventDelivery {
        event_id: event.id,
        delivery: NewDelivery {
            // Of the event's time, as all of its deliveries.
            id: DeliveryId::new(event.created_at),
            endpoint_id: definition.id.as_str().into(),
            incarnation: Some(endpoint.incarnation),
            by_name,
            order: DeliveryOrder::of(event, definition.ordering, definition.on_dead),
            lease: false,
        },
    }
}

use std::sync::Arc;

use crate::{DeliveryId, EventId, Priority, Timestamp, WebhookEvent};

/// An event to be stored with its deliveries.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event.
    pub event: Arc<WebhookEvent>,
    /// How urgent its deliveries are.
    pub priority: Priority,
    /// When they may go; in the future for a delayed event.
    pub due_at: Timestamp,
    /// Retries of each delivery after its first attempt.
    pub max_retries: u32,
    /// The same key of the same tenant stores nothing again for 24 h.
    pub idempotency_key: Option<Arc<str>>,
    /// One per endpoint. May be empty: then only the idempotency key is kept.
    pub deliveries: Vec<NewDelivery>,
}

/// One delivery of a [`NewEvent`].
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Identifies the delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint_id: Arc<str>,
    /// Which [incarnation](super::EndpointRecord::incarnation) of that endpoint it was matched
    /// with: for another one it is not made. `None` takes the one that is there.
    pub incarnation: Option<u64>,
    /// It was sent to this endpoint by name, whatever its filters say.
    pub by_name: bool,
    /// The worker starts it at once: store it leased, with token 1.
    pub lease: bool,
}

/// What became of a [`NewEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is stored.
    Stored {
        /// Deliveries that were not made, because their endpoint is gone, or another one has its id.
        missing: Vec<DeliveryId>,
        /// Deliveries that went to the dead letters at once, because the endpoint's backlog is
        /// full.
        dead: Vec<DeliveryId>,
    },
    /// An event with the same idempotency key was stored before: this one.
    Duplicate {
        /// The first event.
        event_id: EventId,
        /// Its deliveries.
        delivery_ids: Vec<DeliveryId>,
    },
    /// No delivery was made: it names no endpoint, or all of them are missing. The idempotency key is
    /// kept nevertheless.
    NoEndpoint,
}

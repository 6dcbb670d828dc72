use std::sync::Arc;

use super::spi::Fingerprint;

use crate::{DeliveryId, DeliveryOrder, EventId, Priority, Timestamp, WebhookEvent};

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
    /// What the key stands for: the same key with another one is [refused](Enqueued::KeyReused).
    /// `None` is the same as any.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the event is kept though no delivery of it is made.
    pub keep: bool,
    /// One per endpoint. May be empty: then the event is kept if it says so, and its idempotency
    /// key in any case.
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
    /// The order in which it stands, if in one.
    pub order: Option<DeliveryOrder>,
    /// The worker starts it at once: store it leased, with token 1. Never of one with an order.
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
    /// An event with the same idempotency key and another [fingerprint](NewEvent::fingerprint) was
    /// stored before. Nothing of this one is.
    KeyReused,
    /// No delivery was made: it names no endpoint, or all of them are missing. The event is kept if
    /// it says so, and its idempotency key in any case.
    NoEndpoint,
}

/// What was stored in one commit: one answer per event, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit<A> {
    /// What became of each event.
    pub answers: Vec<A>,
    /// The revision of the last change of any endpoint's definition, read at any moment of the
    /// call: who has read changes up to an earlier one may have matched the events with endpoints
    /// that are no more, and without some that are. 0 if that is not known.
    pub definitions: u64,
}

impl<A> Commit<A> {
    /// These answers, of a storage that does not tell the revision.
    #[must_use]
    pub const fn new(answers: Vec<A>) -> Self {
        Self {
            answers,
            definitions: 0,
        }
    }
}

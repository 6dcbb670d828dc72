//! Which deliveries of an endpoint go one after another.

use std::sync::Arc;

use serde::Serialize;

use crate::WebhookEvent;
use crate::named::named;

/// Which deliveries of an endpoint go one after another, in the order in which they were stored: the
/// next one starts when the one before is delivered, dead or cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OrderBy {
    /// None.
    #[default]
    None,
    /// Those of events with the same [ordering key](WebhookEvent::ordering_key). Events without one
    /// go at any time.
    Key,
    /// All, one at a time. Such an endpoint has no [batch](crate::WebhookEndpoint::batch).
    All,
}

named!(OrderBy, "ordering of deliveries", {
    None => "none",
    Key => "key",
    All => "all",
});

/// What a delivery that is given up does to those behind it in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDead {
    /// Nothing: the next one starts.
    #[default]
    Continue,
    /// Holds them, until it is replayed, and then goes first, or is purged, erased or dropped. What
    /// died of a full backlog or expired holds nothing.
    Hold,
}

named!(OnDead, "effect of a dead delivery", {
    Continue => "continue",
    Hold => "hold",
});

/// The order in which a delivery stands: that of all deliveries to its endpoint, in its
/// [incarnation](crate::storage::EndpointRecord::incarnation), with the same key.
///
/// It is decided when the delivery is made. What changes of the endpoint later changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct DeliveryOrder {
    /// The ordering key of the event; empty where all deliveries of the endpoint have one order.
    pub key: Arc<str>,
    /// What becomes of those behind it if it is given up.
    pub on_dead: OnDead,
}

impl DeliveryOrder {
    /// The order of the deliveries of this event to an endpoint that orders so, if they have one.
    #[must_use]
    pub fn of(event: &WebhookEvent, ordering: OrderBy, on_dead: OnDead) -> Option<Self> {
        let key = match ordering {
            OrderBy::None => None,
            OrderBy::Key => event.ordering_key.clone(),
            OrderBy::All => Some(Arc::from("")),
        };
        key.map(|key| Self { key, on_dead })
    }
}

use std::sync::Arc;

use super::spi::NewEvent;
use super::{Change, DeliveryQuery};

/// One of the parts in which an event for many endpoints is stored.
///
/// Its deliveries go to the endpoints that follow, by id, on those of the part before. Their ids are
/// [`DeliveryId::of`](crate::DeliveryId::of) the event and the endpoint, so that a part that is made
/// again, by whomever, stores nothing twice.
#[derive(Clone, Debug)]
pub struct FanOutPart {
    /// The event, with the deliveries of this part. None of them is leased.
    pub event: NewEvent,
    /// Which part it is.
    pub place: PartPlace,
    /// Where the next part goes on: behind this endpoint. `None` with the last part.
    pub up_to: Option<Arc<str>>,
}

/// Which part of a fan-out it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartPlace {
    /// The first: the fan-out begins, and the idempotency key is looked at.
    First,
    /// The first, of an event of the [outbox](super::WebhookStorage::read_outbox), which leaves it.
    FirstOfOutbox,
    /// Another one, of a fan-out that has begun.
    Later,
}

/// An event that has begun to be stored and is not yet for all of its endpoints.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// The event, without deliveries.
    pub event: NewEvent,
    /// It is stored for the endpoints up to this one, by id.
    pub up_to: Arc<str>,
}

impl FanOut {
    /// Whether a change of the deliveries that match ends a fan-out of this event, too: those that
    /// are not made yet are meant as well where payloads are dropped, or what waits is cancelled,
    /// of whole events.
    #[must_use]
    pub fn ends_with(event: &NewEvent, query: &DeliveryQuery, to: Change) -> bool {
        Self::may_end_with(query, to) && query.is_of_event(&event.event)
    }

    /// Whether a change of what matches this query ends any fan-out.
    #[must_use]
    pub fn may_end_with(query: &DeliveryQuery, to: Change) -> bool {
        matches!(to, Change::Erase | Change::Cancel) && query.is_of_events()
    }
}

use std::time::Duration;

use crate::{CancelReason, DeadReason, DeliveryId, DeliveryState, EventId};

/// A delivery that is over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EndedInfo<'a> {
    /// How it ended.
    pub end: DeliveryEnd,
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// The type of the event.
    pub event_type: &'a str,
    /// For whom the event was sent, if for anybody.
    pub tenant: Option<&'a str>,
    /// Where it went.
    pub endpoint_id: &'a str,
    /// The time since its event was sent, by the storage's clock, up to the end of its last request.
    pub age: Duration,
    /// The number of its last attempt in its series, from 1; 0 if no request was made.
    pub attempts: u32,
}

impl<'a> EndedInfo<'a> {
    /// A delivery that ended so, of which no more is known than whose it is.
    #[must_use]
    pub const fn new(
        end: DeliveryEnd,
        (delivery_id, event_id): (DeliveryId, EventId),
        event_type: &'a str,
        endpoint_id: &'a str,
    ) -> Self {
        Self {
            end,
            delivery_id,
            event_id,
            event_type,
            tenant: None,
            endpoint_id,
            age: Duration::ZERO,
            attempts: 0,
        }
    }
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryEnd {
    /// The endpoint accepted it.
    Delivered,
    /// It is in the dead letter queue.
    Dead(DeadReason),
    /// It is not to be sent any more. `None` if the storage has cancelled it and its answer does not
    /// say why: its endpoint was deleted or replaced, or its payload erased.
    Cancelled(Option<CancelReason>),
}

impl DeliveryEnd {
    /// The state in which the delivery is now.
    #[must_use]
    pub const fn state(self) -> DeliveryState {
        match self {
            Self::Delivered => DeliveryState::Delivered,
            Self::Dead(_) => DeliveryState::Dead,
            Self::Cancelled(_) => DeliveryState::Cancelled,
        }
    }

    /// The name of the reason, in snake case; `None` if it was delivered, or nobody knows.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Dead(reason) => Some(reason.as_str()),
            Self::Cancelled(Some(reason)) => Some(reason.as_str()),
            Self::Delivered | Self::Cancelled(None) => None,
        }
    }
}

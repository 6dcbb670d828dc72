use std::sync::Arc;

use crate::{AttemptRecord, CancelReason, DeadReason, DeliveryId, Timestamp};

/// What came of a leased delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// Its endpoint.
    pub endpoint_id: Arc<str>,
    /// The token of the lease.
    pub token: u64,
    /// Where it goes.
    pub settle_as: SettleAs,
    /// The attempt, if a request was started: it counts, and is logged.
    pub attempt: Option<AttemptRecord>,
}

/// Where a leased delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleAs {
    /// It arrived.
    Delivered,
    /// It failed and is tried again at this time.
    Retry {
        /// When it is due again.
        at: Timestamp,
    },
    /// It is given up.
    Dead {
        /// Why.
        reason: DeadReason,
    },
    /// It is not to be sent any more.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
    /// Nothing was started; it goes back and is due at this time.
    Release {
        /// When it is due again.
        at: Timestamp,
    },
}

/// What a [`Settlement`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It is stored.
    Applied,
    /// The delivery was cancelled instead of waiting again: its endpoint is deleted or has a new
    /// incarnation, or its payload is erased.
    Cancelled,
    /// The lease is no longer held; nothing changed, and the attempt is logged as ambiguous.
    Stale,
}

//! One event on its way to one endpoint.

use std::sync::Arc;

use serde::Serialize;

use crate::named::named;
use crate::storage::spi::POISON_SUSPECT_CRASHES;
use crate::{DeliveryId, DeliveryOrder, KeptEndpoint, Priority, Timestamp, WebhookEvent, WorkerId};

/// One event on its way to one endpoint. A storage makes it with all of its fields from what it
/// keeps; it is serialised without its endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookDelivery {
    /// Identifies the delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint_id: Arc<str>,
    /// Which [incarnation](crate::storage::EndpointRecord::incarnation) of the endpoint it is for;
    /// 0 before it was stored.
    pub incarnation: u64,
    /// It was sent to this endpoint by name, whatever its filters say.
    pub by_name: bool,
    /// The order in which it stands, if in one.
    pub order: Option<DeliveryOrder>,
    /// What is sent.
    pub event: Arc<WebhookEvent>,
    /// How urgent it is among the deliveries of its endpoint.
    pub priority: Priority,
    /// When it may go.
    pub due_at: Timestamp,
    /// Requests that were started so far, in this series of attempts.
    pub attempts: u32,
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// How often a process died while it held the delivery.
    pub crashes: u32,
    /// Who may settle it, once it was claimed.
    pub lease: Option<Lease>,
    /// The endpoint as it was when the delivery came out of the queue.
    #[serde(skip)]
    pub endpoint: Option<Arc<KeptEndpoint>>,
}

impl WebhookDelivery {
    /// A new delivery of `event` to the endpoint, due at once, with the default retries.
    #[must_use]
    pub fn new(endpoint_id: &str, event: Arc<WebhookEvent>) -> Self {
        Self {
            // Of the event's time, so that deliveries are listed in the order in which events were
            // made.
            id: DeliveryId::new(event.created_at),
            endpoint_id: endpoint_id.into(),
            incarnation: 0,
            // Whoever makes one by hand has chosen the endpoint, and its filters are not asked.
            by_name: true,
            order: None,
            priority: Priority::default(),
            due_at: event.created_at,
            attempts: 0,
            max_retries: crate::RetryStrategy::default().max_retries,
            crashes: 0,
            lease: None,
            endpoint: None,
            event,
        }
    }

    /// Whether no retry is left once the attempt that runs now has failed.
    #[must_use]
    ///
    /// Asked while the attempt runs, so that `attempts` does not count it yet.
    pub const fn is_last_attempt(&self) -> bool {
        self.attempts >= self.max_retries
    }

    /// Whether it may be what killed the processes that held it: [`POISON_SUSPECT_CRASHES`] of them
    /// died.
    #[must_use]
    pub const fn is_poison_suspect(&self) -> bool {
        self.crashes >= POISON_SUSPECT_CRASHES
    }
}

/// The right to settle a delivery.
///
/// Every claim makes a new `token`, so that who held the delivery before can no longer settle it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Lease {
    /// Who holds the delivery.
    pub worker: WorkerId,
    /// The fencing token: it only ever grows for one delivery.
    pub token: u64,
}

/// Where a delivery is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// Waits for the end of those before it in its [order](WebhookDelivery::order).
    Blocked,
    /// Waits for a worker.
    Ready,
    /// Waits for its time.
    Scheduled,
    /// A worker has it.
    Leased,
    /// The endpoint accepted it.
    Delivered,
    /// Given up: in the dead letter queue.
    Dead,
    /// Ended by hand, or because nobody is there for it any more: [`CancelReason`].
    Cancelled,
}

impl DeliveryState {
    /// The states from which a delivery may still be sent.
    pub const WAITING: [Self; 4] = [Self::Blocked, Self::Ready, Self::Scheduled, Self::Leased];

    /// Whether the delivery's life is over, a replay aside.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Cancelled)
    }
}

named!(DeliveryState, "delivery state", {
    Blocked => "blocked",
    Ready => "ready",
    Scheduled => "scheduled",
    Leased => "leased",
    Delivered => "delivered",
    Dead => "dead",
    Cancelled => "cancelled",
});

/// Why a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeadReason {
    /// Its last retry failed.
    AttemptsExhausted,
    /// The response, or the lack of a way to ask, leaves no hope: the last attempt tells which.
    PermanentFailure,
    /// Three processes died while they held it.
    Poison,
    /// Its endpoint had as many waiting deliveries as the storage takes.
    BacklogFull,
    /// It waited longer than the retention.
    Expired,
}

named!(DeadReason, "reason of a dead delivery", {
    AttemptsExhausted => "attempts_exhausted",
    PermanentFailure => "permanent_failure",
    Poison => "poison",
    BacklogFull => "backlog_full",
    Expired => "expired",
});

/// Why a delivery was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// By a call.
    ByHand,
    /// Its endpoint was deleted.
    EndpointDeleted,
    /// Its endpoint was registered anew, or given to another tenant.
    EndpointReplaced,
    /// Its endpoint no longer takes events of this type.
    TypeNotTaken,
    /// Its payload was erased.
    Erased,
}

named!(CancelReason, "reason of a cancelled delivery", {
    ByHand => "by_hand",
    EndpointDeleted => "endpoint_deleted",
    EndpointReplaced => "endpoint_replaced",
    TypeNotTaken => "type_not_taken",
    Erased => "erased",
});

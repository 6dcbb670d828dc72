//! One event on its way to one endpoint.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::storage::POISON_SUSPECT_CRASHES;
use crate::{DeliveryId, KeptEndpoint, Priority, Timestamp, WebhookEvent, WorkerId};

/// One event on its way to one endpoint.
#[derive(Clone, Debug)]
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
    pub endpoint: Option<Arc<KeptEndpoint>>,
}

impl WebhookDelivery {
    /// A new delivery of `event` to the endpoint, due at once, with the default retries.
    #[must_use]
    pub fn new(endpoint_id: &str, event: Arc<WebhookEvent>) -> Self {
        Self {
            id: DeliveryId::new(event.created_at),
            endpoint_id: endpoint_id.into(),
            incarnation: 0,
            by_name: true,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Who holds the delivery.
    pub worker: WorkerId,
    /// The fencing token: it only ever grows for one delivery.
    pub token: u64,
}

/// Where a delivery is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
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
    pub const WAITING: [Self; 3] = [Self::Ready, Self::Scheduled, Self::Leased];

    /// Whether the delivery's life is over, a replay aside.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Cancelled)
    }

    /// The state's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl DeadReason {
    /// The reason's name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::PermanentFailure => "permanent_failure",
            Self::Poison => "poison",
            Self::BacklogFull => "backlog_full",
            Self::Expired => "expired",
        }
    }
}

/// Why a delivery was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl CancelReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::ByHand,
        Self::EndpointDeleted,
        Self::EndpointReplaced,
        Self::TypeNotTaken,
        Self::Erased,
    ];

    /// The reason's name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EndpointReplaced => "endpoint_replaced",
            Self::TypeNotTaken => "type_not_taken",
            Self::Erased => "erased",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

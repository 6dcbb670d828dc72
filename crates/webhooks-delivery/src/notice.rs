//! What the system tells whoever listens.

use std::sync::Arc;

use tokio::sync::broadcast;
use webhooks_core::storage::{self, DisabledBy, SettleAs};
use webhooks_core::{
    AttemptRecord, CancelReason, Circuit, DeadReason, DeliveryId, EventId, EventType, FailureKind,
    Timestamp, WebhookEvent,
};

/// Notices that a slow listener may fall behind by, before it misses some.
const CAPACITY: usize = 4_096;

/// Something an operator may want to act on. Told after it was stored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A delivery arrived.
    Delivered(AttemptedDelivery),
    /// An attempt failed and another one follows.
    Retrying {
        /// Which delivery.
        delivery: AttemptedDelivery,
        /// When the next attempt is due.
        at: Timestamp,
    },
    /// A delivery was given up: it is in the dead letter queue.
    Dead {
        /// Which delivery.
        delivery: AttemptedDelivery,
        /// Why.
        reason: DeadReason,
    },
    /// A delivery is not tried again, because its endpoint no longer takes events of its type.
    Cancelled {
        /// Which delivery.
        delivery: AttemptedDelivery,
        /// Why.
        reason: CancelReason,
    },
    /// An endpoint has only failed for most of the time after which it is disabled.
    EndpointFailing {
        /// Which endpoint.
        endpoint_id: Arc<str>,
        /// Since when it has only failed.
        since: Timestamp,
        /// When it will be disabled.
        disabled_at: Timestamp,
    },
    /// An endpoint was disabled by the system.
    EndpointDisabled {
        /// Which endpoint.
        endpoint_id: Arc<str>,
        /// Why.
        by: DisabledBy,
    },
    /// The circuit of an endpoint changed its state, as this process sees it.
    CircuitChanged {
        /// Which endpoint.
        endpoint_id: Arc<str>,
        /// The circuit now.
        circuit: Circuit,
    },
}

/// The delivery that a [`Notice`] is about, after an attempt.
#[derive(Clone, Debug)]
pub struct AttemptedDelivery {
    /// Identifies the delivery.
    pub delivery_id: DeliveryId,
    /// Identifies the event.
    pub event_id: EventId,
    /// The type of the event.
    pub event_type: EventType,
    /// Where it goes.
    pub endpoint_id: Arc<str>,
    /// The number of the last attempt, from 1.
    pub attempt: u32,
    /// The status of the last response, if one came.
    pub status: Option<u16>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<FailureKind>,
}

impl Notice {
    /// What became of a delivery of this event after an attempt, as it was stored.
    pub(crate) fn of_attempt(
        settlement: &storage::Settlement,
        attempt: &AttemptRecord,
        event: &WebhookEvent,
    ) -> Self {
        let delivery = AttemptedDelivery {
            delivery_id: settlement.delivery_id,
            event_id: event.id,
            event_type: event.event_type.clone(),
            endpoint_id: settlement.endpoint_id.clone(),
            attempt: attempt.number,
            status: attempt.status,
            failure: attempt.failure,
        };
        match settlement.settle_as {
            SettleAs::Delivered => Self::Delivered(delivery),
            SettleAs::Dead { reason } => Self::Dead { delivery, reason },
            SettleAs::Cancelled { reason } => Self::Cancelled { delivery, reason },
            SettleAs::Retry { at } | SettleAs::Release { at } => Self::Retrying { delivery, at },
        }
    }
}

/// Where notices are told.
#[derive(Clone, Debug)]
pub(crate) struct Notices(broadcast::Sender<Notice>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }

    /// Makes and tells a notice, unless nobody listens.
    pub(crate) fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.0.receiver_count() > 0 {
            // The last listener may just have left.
            drop(self.0.send(notice()));
        }
    }

    pub(crate) fn listen(&self) -> NoticeStream {
        NoticeStream(self.0.subscribe())
    }
}

/// A listener's end. It never slows deliveries down: who reads too slowly misses the oldest.
#[derive(Debug)]
pub struct NoticeStream(broadcast::Receiver<Notice>);

impl NoticeStream {
    /// The next notice; `None` once the system has ended.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            match self.0.recv().await {
                Ok(notice) => return Some(notice),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener reads too slowly and missed notices");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

//! What the system tells whoever listens.
//!
//! A notice follows what was stored, so that who acts on it finds the storage as it says. A process
//! tells of what it did itself: each one has its own listeners.

use std::sync::Arc;

use serde::Serialize;
use webhooks_core::storage::spi::{Enqueued, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::storage::{DisabledBy, EndpointRecord};
use webhooks_core::{
    AttemptRecord, CancelReason, Circuit, DeadReason, DeliveryId, EventId, EventType, FailureKind,
    Timestamp, WebhookEvent,
};

/// Something an operator may want to act on. Told after it was stored.
///
/// It is written as JSON with its kind in `notice`: `{"notice":"dead","delivery":{..},"reason":..}`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// An event was stored with its deliveries. One for very many endpoints is told once for each part in
    /// which they are stored.
    Sent {
        /// Identifies the event.
        event_id: EventId,
        /// Its type.
        event_type: EventType,
        /// For whom it was sent, if for anybody.
        tenant: Option<Arc<str>>,
        /// Deliveries that were made.
        deliveries: usize,
    },
    /// A delivery arrived.
    Delivered {
        /// Which delivery.
        delivery: NoticedDelivery,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// Which delivery.
        delivery: NoticedDelivery,
        /// When the next attempt is due.
        at: Timestamp,
    },
    /// A delivery was given up: it is in the dead letter queue. Those that a storage gives up by
    /// itself, as [`Poison`](DeadReason::Poison) and as [`Expired`](DeadReason::Expired), it does not
    /// tell one by one; they are in the dead letters and in the counts.
    Dead {
        /// Which delivery.
        delivery: NoticedDelivery,
        /// Why.
        reason: DeadReason,
    },
    /// A delivery that this process had taken to send was cancelled. What is cancelled while it waits
    /// in the storage has no notice.
    Cancelled {
        /// Which delivery.
        delivery: NoticedDelivery,
        /// Why; `None` if the storage did it and its answer does not say: the endpoint was deleted or
        /// replaced, or the payload was erased.
        reason: Option<CancelReason>,
    },
    /// An endpoint was registered, changed or deleted, or a gate of it moved, by whatever process: told
    /// when this one has read it, within about a second.
    EndpointChanged {
        /// Which endpoint.
        endpoint_id: Arc<str>,
        /// It was deleted.
        deleted: bool,
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
    /// This listener read too slowly: so many notices were dropped before it came to them.
    Missed {
        /// How many.
        notices: u64,
    },
}

/// The delivery that a [`Notice`] is about.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NoticedDelivery {
    /// Identifies the delivery.
    pub delivery_id: DeliveryId,
    /// Identifies the event.
    pub event_id: EventId,
    /// The type of the event.
    pub event_type: EventType,
    /// Where it goes.
    pub endpoint_id: Arc<str>,
    /// For whom the event was sent, if for anybody.
    pub tenant: Option<Arc<str>>,
    /// The number of the last attempt, from 1; 0 if this notice follows none.
    pub attempt: u32,
    /// The status of the last response, if one came.
    pub status: Option<u16>,
    /// Why the last attempt failed, if it did.
    /// In a [`Delivered`](Notice::Delivered) it is `None`.
    pub failure: Option<FailureKind>,
}

impl Notice {
    /// What was stored of an event, if anything.
    pub(crate) fn sent(new: &NewEvent, answer: &Enqueued) -> Option<Self> {
        let deliveries = match answer {
            Enqueued::Stored { missing, .. } => new.deliveries.len() - missing.len(),
            Enqueued::NoEndpoint if new.keep => 0,
            _ => return None,
        };
        Some(Self::Sent {
            event_id: new.event.id,
            event_type: new.event.event_type.clone(),
            tenant: new.event.tenant.clone(),
            deliveries,
        })
    }

    /// What was read of an endpoint.
    pub(crate) fn endpoint_changed(record: &EndpointRecord) -> Self {
        Self::EndpointChanged {
            endpoint_id: record.endpoint.id.as_str().into(),
            deleted: record.deleted,
        }
    }

    /// What became of a delivery of this event after an attempt, as it was stored.
    pub(crate) fn of_attempt(
        settlement: &Settlement,
        attempt: &AttemptRecord,
        event: &WebhookEvent,
    ) -> Self {
        let delivery = NoticedDelivery {
            attempt: attempt.number,
            status: attempt.status,
            failure: attempt.failure,
            ..NoticedDelivery::new(settlement.delivery_id, &settlement.endpoint_id, event)
        };
        match settlement.settle_as {
            SettleAs::Delivered => Self::Delivered { delivery },
            SettleAs::Dead { reason } => Self::Dead { delivery, reason },
            SettleAs::Cancelled { reason } => Self::Cancelled {
                delivery,
                reason: Some(reason),
            },
            SettleAs::Retry { at } | SettleAs::Release { at } => Self::Retrying { delivery, at },
        }
    }

    /// The storage has cancelled a delivery of this event instead of settling it.
    pub(crate) fn cancelled(settlement: &Settlement, event: &WebhookEvent) -> Self {
        let delivery = NoticedDelivery::new(settlement.delivery_id, &settlement.endpoint_id, event);
        Self::Cancelled {
            delivery: NoticedDelivery {
                attempt: settlement.attempt.as_ref().map_or(0, |a| a.number),
                status: settlement.attempt.as_ref().and_then(|a| a.status),
                failure: settlement.attempt.as_ref().and_then(|a| a.failure),
                ..delivery
            },
            reason: None,
        }
    }

    /// A delivery of this event went to the dead letters when it was stored.
    pub(crate) fn backlog_full(delivery: &NewDelivery, event: &WebhookEvent) -> Self {
        Self::Dead {
            delivery: NoticedDelivery::new(delivery.id, &delivery.endpoint_id, event),
            reason: DeadReason::BacklogFull,
        }
    }
}

impl NoticedDelivery {
    fn new(delivery_id: DeliveryId, endpoint_id: &Arc<str>, event: &WebhookEvent) -> Self {
        Self {
            delivery_id,
            event_id: event.id,
            event_type: event.event_type.clone(),
            endpoint_id: endpoint_id.clone(),
            tenant: event.tenant.clone(),
            attempt: 0,
            status: None,
            failure: None,
        }
    }
}

//! What the system tells whoever listens.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use webhooks_core::storage::{self, DisabledBy, NewDelivery, SettleAs};
use webhooks_core::{
    AttemptRecord, CancelReason, Circuit, DeadReason, DeliveryId, EventId, EventType, FailureKind,
    Timestamp, WebhookEvent,
};

/// Notices that a slow listener may fall behind by, before it misses some.
const CAPACITY: usize = 4_096;

/// Something an operator may want to act on. Told after it was stored.
///
/// It is written as JSON with its kind in `notice`: `{"notice":"dead","delivery":{..},"reason":..}`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
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
    /// The number of the last attempt, from 1; 0 if this notice follows none.
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
    pub(crate) fn cancelled(settlement: &storage::Settlement, event: &WebhookEvent) -> Self {
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
            attempt: 0,
            status: None,
            failure: None,
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
        NoticeStream(BroadcastStream::new(self.0.subscribe()))
    }
}

/// A listener's end. It never slows deliveries down: who reads too slowly misses the oldest, and is
/// [told](Notice::Missed) how many.
#[derive(Debug)]
pub struct NoticeStream(BroadcastStream<Notice>);

impl NoticeStream {
    /// The next notice; `None` once the system has ended.
    pub async fn next(&mut self) -> Option<Notice> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for NoticeStream {
    type Item = Notice;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        let told = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(told.map(|told| match told {
            Ok(notice) => notice,
            Err(BroadcastStreamRecvError::Lagged(notices)) => Notice::Missed { notices },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_how_many_were_missed() {
        let notices = Notices::new();
        let mut stream = notices.listen();
        let failing = |n: usize| Notice::EndpointDisabled {
            endpoint_id: n.to_string().into(),
            by: DisabledBy::Failing,
        };
        for n in 0..CAPACITY + 3 {
            notices.tell(|| failing(n));
        }
        let missed = stream.next().await.unwrap();
        assert!(
            matches!(missed, Notice::Missed { notices: 3 }),
            "{missed:?}"
        );
        let json = serde_json::to_string(&stream.next().await.unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"notice":"endpoint_disabled","endpoint_id":"3","by":"failing"}"#
        );
        drop(notices);
        let mut left = 0;
        while stream.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, CAPACITY - 1);
    }
}

//! What one request carries.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;
use webhooks_core::{
    BATCH_EVENT, BatchConfig, DeliveryId, EventId, Timestamp, WebhookDelivery, batch_envelope,
};

use crate::lane::LaneState;
use crate::one_or_more::OneOrMore;

/// What one request carries: a delivery, or a batch of them.
#[derive(Debug)]
pub(crate) enum Load {
    One(WebhookDelivery),
    Batch(Vec<WebhookDelivery>),
}

/// What a lane has to send at the moment.
#[derive(Debug)]
pub(crate) enum Next {
    /// This.
    Load(Load),
    /// Nothing waits.
    Nothing,
}

/// The request that carries a load.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) delivery_id: DeliveryId,
    pub(crate) number: u32,
    pub(crate) body: Cow<'a, Bytes>,
}

impl Load {
    /// The deliveries, taken out.
    pub(crate) fn into_deliveries(self) -> OneOrMore<WebhookDelivery> {
        match self {
            Self::One(delivery) => smallvec![delivery],
            Self::Batch(deliveries) => deliveries.into(),
        }
    }

    /// The request; a batch gets an envelope and ids of its own.
    pub(crate) fn parcel(&self, now: Timestamp) -> Parcel<'_> {
        match self {
            Self::One(delivery) => Parcel {
                event_id: delivery.event.id,
                event_type: &delivery.event.event_type,
                delivery_id: delivery.id,
                number: delivery.attempts.saturating_add(1),
                body: Cow::Borrowed(&delivery.event.payload),
            },
            Self::Batch(deliveries) => {
                let id = EventId::new(now);
                let bodies = deliveries.iter().map(|delivery| &delivery.event.payload);
                let attempts = deliveries.iter().map(|delivery| delivery.attempts).max();
                Parcel {
                    event_id: id,
                    event_type: BATCH_EVENT,
                    delivery_id: DeliveryId::new(now),
                    number: attempts.unwrap_or(0).saturating_add(1),
                    body: Cow::Owned(batch_envelope(id, now, bodies)),
                }
            }
        }
    }
}

impl LaneState {
    /// Takes what goes next out of the lane. The storage lets batches out once they are due.
    pub(crate) fn take_next(&mut self) -> Next {
        // However many others come meanwhile, and alone: one more death names what is guilty.
        if let Some(suspect) = self.suspect.take() {
            return Next::Load(Load::One(suspect));
        }
        let Some(batch) = self.record.endpoint.batch else {
            return self.take_one();
        };
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        if self.alone > 0 {
            self.alone -= 1;
            return self.take_one();
        }
        let count = fit(self, &batch);
        Next::Load(Load::Batch(self.waiting.drain(..count).collect()))
    }

    /// Puts a load back, to go before everything else. `alone`: in requests of its own each.
    pub(crate) fn put_back(&mut self, load: Load, alone: bool) {
        let (deliveries, alone) = match load {
            Load::One(suspect) if suspect.is_poison_suspect() => {
                self.suspect = Some(suspect);
                return;
            }
            // Of a lane that batches, only those that go alone are ever taken alone.
            Load::One(delivery) => (vec![delivery], self.batches()),
            Load::Batch(deliveries) => (deliveries, alone),
        };
        if alone {
            self.alone += deliveries.len();
        }
        for delivery in deliveries.into_iter().rev() {
            self.waiting.push_front(delivery);
        }
    }

    /// When what goes back to the storage is due, to be claimed from `at` on: it was let out, and
    /// does not wait for another batch.
    pub(crate) fn due_again(&self, at: Timestamp) -> Timestamp {
        let wait = self.record.endpoint.batch.map_or(0, |b| b.max_wait_ms);
        at.before(Duration::from_millis(wait))
    }

    fn take_one(&mut self) -> Next {
        self.waiting
            .pop_front()
            .map_or(Next::Nothing, |delivery| Next::Load(Load::One(delivery)))
    }
}

/// How many of the waiting deliveries fit into one batch.
fn fit(lane: &LaneState, batch: &BatchConfig) -> usize {
    let most = usize::try_from(batch.max_events).unwrap_or(usize::MAX);
    let mut bytes = 0_usize;
    let fits = lane.waiting.iter().take(most).take_while(|delivery| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(delivery.event.payload.len());
        is_first || bytes <= batch.max_bytes
    });
    fits.count()
}

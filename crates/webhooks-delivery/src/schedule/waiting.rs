//! What a lane has leased and not started.
//!
//! The order is that of the storage's claims: least sort key first. A delivery that is put back
//! goes to the front, so that what could not start does not fall behind what came later.
//!
//! The poison suspect is kept apart: it goes next and alone, never in a batch, or a death would be
//! blamed on all that went with it.

use std::collections::VecDeque;

use webhooks_core::{BatchConfig, WebhookDelivery};

use super::carried::Carried;

/// What a lane has leased and not started, in the order of its turn.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<WebhookDelivery>,
    /// The one poison suspect that this process holds, if it is this lane's: the next to start.
    /// At a busy endpoint there may never be a moment at which nothing else waits.
    poison_suspect: Option<WebhookDelivery>,
    /// The next so many go one by one, because a batch with them was refused; also when they were
    /// given back meanwhile, or a batch of the same would be refused again.
    alone: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.poison_suspect.is_none() && self.queue.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &WebhookDelivery> {
        self.poison_suspect.iter().chain(&self.queue)
    }

    /// Puts a delivery that a claim brought behind all others: claims bring them in their order.
    pub(super) fn push(&mut self, delivery: WebhookDelivery) {
        // A process holds one poison suspect at most, so that the place is free.
        match delivery.is_poison_suspect() {
            true => self.poison_suspect = Some(delivery),
            false => self.queue.push_back(delivery),
        }
    }

    /// Puts a delivery that was just stored at its place: senders overtake each other on their way
    /// into the storage.
    pub(super) fn insert_in_order(&mut self, delivery: WebhookDelivery) {
        let key = |d: &WebhookDelivery| d.priority.sort_key(d.event.created_at);
        let own = key(&delivery);
        // From the back, where new events belong: mostly the first comparison is the last.
        let before = self.queue.iter().rposition(|other| key(other) <= own);
        self.queue.insert(before.map_or(0, |n| n + 1), delivery);
    }

    /// Takes out what goes next, in one request of an endpoint with these batches. The storage lets
    /// batches out once they are due, so that there is nothing more to wait for.
    pub(super) fn take_next(&mut self, batch: Option<&BatchConfig>) -> Option<Carried> {
        // Alone in its request: one more death then names what is guilty.
        if let Some(suspect) = self.poison_suspect.take() {
            return Some(Carried::One(suspect));
        }
        match batch {
            // While some have to go alone, all go alone: they are at the front, and a batch across
            // them would be refused again.
            Some(batch) if self.alone == 0 => {
                let count = self.fitting(batch);
                let batch: Vec<_> = self.queue.drain(..count).collect();
                (!batch.is_empty()).then_some(Carried::Batch(batch))
            }
            _ => {
                let next = self.queue.pop_front()?;
                self.alone = self.alone.saturating_sub(1);
                Some(Carried::One(next))
            }
        }
    }

    /// Puts back what could not start, to go before everything else.
    pub(super) fn put_back(&mut self, carried: Carried, batch: Option<&BatchConfig>) {
        match carried {
            Carried::One(suspect) if suspect.is_poison_suspect() => {
                self.poison_suspect = Some(suspect);
            }
            Carried::One(delivery) => {
                // Of a lane that batches, only those that go alone are ever taken alone.
                self.alone += usize::from(batch.is_some());
                self.queue.push_front(delivery);
            }
            Carried::Batch(deliveries) => self.push_front(deliveries),
        }
    }

    /// Puts a batch back that was refused, to go one by one before everything else.
    pub(super) fn put_back_alone(&mut self, deliveries: Vec<WebhookDelivery>) {
        self.alone += deliveries.len();
        self.push_front(deliveries);
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = WebhookDelivery> + use<> {
        let queue = std::mem::take(&mut self.queue);
        self.poison_suspect.take().into_iter().chain(queue)
    }

    /// Takes out what is not to be sent any more.
    pub(super) fn take_if(
        &mut self,
        is_out: impl Fn(&WebhookDelivery) -> bool,
    ) -> Vec<WebhookDelivery> {
        let (out, stays) = self.take_all().partition::<Vec<_>, _>(is_out);
        for delivery in stays {
            self.push(delivery);
        }
        out
    }

    fn push_front(&mut self, deliveries: Vec<WebhookDelivery>) {
        for delivery in deliveries.into_iter().rev() {
            self.queue.push_front(delivery);
        }
    }

    /// How many of them fit into one batch: one at least, however large it is.
    fn fitting(&self, batch: &BatchConfig) -> usize {
        let most = usize::try_from(batch.max_events).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let fits = self.queue.iter().take(most).take_while(|delivery| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(delivery.event.payload.len());
            // An event that is larger than the bound would otherwise never go.
            is_first || bytes <= batch.max_bytes
        });
        fits.count()
    }
}

use std::sync::Arc;

use better_auth_webhooks::storage::EventRecord;
use better_auth_webhooks::storage::spi::{
    DeliveredEvent, Enqueued, EventDelivery, FanOut, FanOutPart, IDEMPOTENCY_WINDOW, NewDelivery,
    NewEvent, PartPlace,
};
use better_auth_webhooks::{DeliveryId, EventId, Timestamp, WorkerId};

use super::lists::{Key, Lists};
use super::row::Row;

/// Events and deliveries that are made.
impl Lists {
    pub(crate) fn enqueue(
        &mut self,
        new: &NewEvent,
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Enqueued {
        if let Some(answer) = self.first_send(new, now) {
            return answer;
        }
        let known = self.event(new.event.id);
        let is_erased = known.is_some_and(|known| known.payload_erased);
        let (mut made, mut missing) = (Vec::new(), Vec::new());
        for delivery in &new.deliveries {
            let is_there = self.is_there(delivery);
            let recipient = self.recipient(delivery).filter(|_| is_there || !is_erased);
            let Some(incarnation) = recipient else {
                missing.push(delivery.id);
                continue;
            };
            made.push(delivery.id);
            if !is_there {
                let row = Row::new(delivery, &new.event, incarnation, now);
                let row = row.with(new.priority, new.due_at, new.max_retries);
                let worker = worker.filter(|_| delivery.lease);
                self.make(row, worker, now);
            }
        }
        if new.keep || !made.is_empty() {
            self.keep(new);
        }
        self.keep_key(new, &made, now);
        match made.is_empty() {
            true => Enqueued::NoEndpoint,
            false => Enqueued::Stored {
                missing,
                // There is no bound on what an endpoint's backlog may hold.
                dead: Vec::new(),
            },
        }
    }

    /// The answer for an idempotency key that another event has used.
    fn first_send(&mut self, new: &NewEvent, now: Timestamp) -> Option<Enqueued> {
        self.keys
            .retain(|key| now.since(key.at) < IDEMPOTENCY_WINDOW);
        // The same event under its own key is the same call, made again.
        let first = self.key(new).filter(|key| key.event_id != new.event.id)?;
        let stands_for = first.fingerprint.zip(new.fingerprint);
        Some(match stands_for {
            Some((first, new)) if first != new => Enqueued::KeyReused,
            _ => Enqueued::Duplicate {
                event_id: first.event_id,
                delivery_ids: first.delivery_ids.clone(),
            },
        })
    }

    fn key(&mut self, new: &NewEvent) -> Option<&mut Key> {
        let wanted = new.idempotency_key.as_ref()?;
        let mut keys = self.keys.iter_mut();
        keys.find(|key| key.key == *wanted && key.tenant == new.event.tenant)
    }

    fn keep_key(&mut self, new: &NewEvent, made: &[DeliveryId], now: Timestamp) {
        if let Some(known) = self.key(new) {
            let more = made.iter().filter(|id| !known.delivery_ids.contains(id));
            let more: Vec<_> = more.copied().collect();
            known.delivery_ids.extend(more);
        } else if let Some(key) = &new.idempotency_key {
            self.keys.push(Key {
                tenant: new.event.tenant.clone(),
                key: Arc::clone(key),
                at: now,
                event_id: new.event.id,
                fingerprint: new.fingerprint,
                delivery_ids: made.to_vec(),
            });
        }
    }

    pub(crate) fn event(&self, id: EventId) -> Option<&EventRecord> {
        self.events.iter().find(|known| known.event.id == id)
    }

    /// Keeps an event, unless it is there.
    fn keep(&mut self, new: &NewEvent) {
        if self.event(new.event.id).is_none() {
            let mut record = EventRecord::new(Arc::clone(&new.event));
            record.priority = new.priority;
            record.due_at = new.due_at;
            record.max_retries = new.max_retries;
            self.events.push(record);
        }
    }

    /// The incarnation of the endpoint that a delivery is for, if that very one is there.
    fn recipient(&mut self, delivery: &NewDelivery) -> Option<u64> {
        let there = self.endpoint(&delivery.endpoint_id)?.incarnation;
        let is_same = delivery.incarnation.is_none_or(|wanted| wanted == there);
        is_same.then_some(there)
    }

    fn is_there(&self, delivery: &NewDelivery) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.record.delivery.id == delivery.id)
    }

    fn make(&mut self, mut row: Row, worker: Option<&WorkerId>, now: Timestamp) {
        row.wait_until(row.record.delivery.due_at, now);
        let endpoint_id = Arc::clone(&row.record.delivery.endpoint_id);
        self.total(&endpoint_id).enqueued += 1;
        // What has an order waits for its turn, which may come at the end of this call.
        let worker = worker.filter(|_| row.record.delivery.order.is_none());
        if let Some(worker) = worker {
            self.know(worker, now);
            row.lease_to(worker, now);
        }
        self.rows.push(row);
        self.take_place(self.rows.len() - 1);
    }

    pub(crate) fn deliver_event(&mut self, d: &EventDelivery, now: Timestamp) -> DeliveredEvent {
        let Some(known) = self.event(d.event_id).cloned() else {
            return DeliveredEvent::NoEvent;
        };
        if known.payload_erased {
            return DeliveredEvent::Erased;
        }
        let Some(incarnation) = self.recipient(&d.delivery) else {
            return DeliveredEvent::Missing;
        };
        let is_same = |row: &&Row| {
            let delivery = &row.record.delivery;
            let is_to_it = row.is_of(&d.delivery.endpoint_id);
            delivery.event.id == d.event_id && is_to_it && delivery.incarnation == incarnation
        };
        if let Some(row) = self.rows.iter().find(is_same) {
            return DeliveredEvent::Exists(row.record.delivery.id);
        }
        let row = Row::new(&d.delivery, &known.event, incarnation, now);
        let due_at = known.due_at.max(now);
        let mut row = row.with(known.priority, due_at, known.max_retries);
        row.sent_at = now;
        self.make(row, None, now);
        DeliveredEvent::Stored
    }

    /// Stores a part of an event for many endpoints, and where the next one goes on.
    pub(crate) fn fan_out(&mut self, part: &FanOutPart, now: Timestamp) -> Option<Enqueued> {
        let is_same = |f: &(FanOut, Timestamp)| f.0.event.event.id == part.event.event.id;
        let begun = self.fan_outs.iter().position(is_same);
        match part.place {
            PartPlace::First => {}
            PartPlace::Later if begun.is_some() => {}
            PartPlace::Later | PartPlace::FirstOfOutbox => return None,
        }
        let answer = self.enqueue(&part.event, None, now);
        if matches!(answer, Enqueued::Duplicate { .. } | Enqueued::KeyReused) {
            return Some(answer);
        }
        let before = begun.map(|place| self.fan_outs.remove(place).0.up_to);
        if let Some(up_to) = part.up_to.clone() {
            let event = NewEvent {
                deliveries: Vec::new(),
                ..part.event.clone()
            };
            self.keep(&event);
            // Two nodes may be at it: it never goes back.
            let up_to = before.map_or(up_to.clone(), |before| before.max(up_to));
            self.fan_outs.push((FanOut { event, up_to }, now));
        }
        Some(answer)
    }
}

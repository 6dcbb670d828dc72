//! Storing events with their deliveries, whole or not at all.

use std::sync::Arc;

use webhooks_core::storage::spi::{Enqueued, NewDelivery, NewEvent};
use webhooks_core::{DeadReason, DeliveryState, Result, Timestamp, WebhookError, WorkerId};

use crate::idempotency::TenantKey;
use crate::row::Row;
use crate::state::{State, waiting_state};

impl State {
    /// Stores all events of a call, or none. Nothing can fail behind
    /// [`check_room`](Self::check_room), so that a call is never left half done.
    pub(crate) fn enqueue(
        &mut self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>> {
        self.keys.expire(now);
        // Of the batch as a whole, and before anything is stored: all of it is refused, or nothing.
        self.check_room(events, now)?;
        // Who leases nothing is not yet somebody to watch.
        let mut deliveries = events.iter().flat_map(|event| &event.deliveries);
        let worker = worker.filter(|_| deliveries.any(|delivery| delivery.lease));
        let worker = worker.map(|id| self.worker(id, now));
        Ok(events
            .iter()
            .map(|event| self.enqueue_one(event, worker, now))
            .collect())
    }

    /// Refuses the batch if the storage as a whole would be over its bounds.
    ///
    /// Checked before the first change, for the call as a whole.
    fn check_room(&self, events: &[NewEvent], now: Timestamp) -> Result<()> {
        let most = self.limits.deliveries;
        let upper: usize = events.iter().map(|e| e.deliveries.len()).sum();
        // The exact number takes a look-up per delivery, so only when it matters.
        if self.occupied() + upper > most && self.occupied() + self.new_rows(events, now) > most {
            return Err(WebhookError::Overloaded(
                format!(
                    "the memory storage holds {} waiting and dead deliveries, at most {most}",
                    self.occupied()
                )
                .into(),
            ));
        }
        let most = self.limits.idempotency_keys;
        // Repeated keys take no room. Counted generously, since two new events of one call may
        // share a key.
        let keys = events.iter().filter(|e| e.idempotency_key.is_some());
        let known = keys.clone().filter(|e| self.first_send(e, now).is_some());
        if self.keys.len() + keys.clone().count() > most + known.count() {
            return Err(WebhookError::Overloaded(
                format!(
                    "the memory storage holds {} idempotency keys, at most {most}",
                    self.keys.len()
                )
                .into(),
            ));
        }
        Ok(())
    }

    /// How many rows the events would add.
    fn new_rows(&self, events: &[NewEvent], now: Timestamp) -> usize {
        let is_new =
            |d: &&NewDelivery| self.recipient(d).is_some() && !self.by_id.contains_key(&d.id);
        events
            .iter()
            .filter(|event| self.first_send(event, now).is_none())
            .map(|event| event.deliveries.iter().filter(is_new).count())
            .sum()
    }

    /// The answer that was given for this key before, to another event.
    ///
    /// An expired key answers nothing, also where no sweep has dropped it yet.
    fn first_send(&self, new: &NewEvent, now: Timestamp) -> Option<Enqueued> {
        let first = self.keys.get(&tenant_key(new)?, now)?;
        // The same event is the same call sent twice, not a second event.
        (first.event_id != new.event.id).then(|| Enqueued::Duplicate {
            event_id: first.event_id,
            delivery_ids: first.delivery_ids.clone(),
        })
    }

    /// Stores one event. Events are taken one after the other, so that a key that is used twice
    /// within a call finds its first use.
    fn enqueue_one(&mut self, new: &NewEvent, worker: Option<u32>, now: Timestamp) -> Enqueued {
        if let Some(duplicate) = self.first_send(new, now) {
            return duplicate;
        }
        let key = tenant_key(new);
        let (mut made, mut missing, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in &new.deliveries {
            let Some(endpoint) = self.recipient(delivery) else {
                missing.push(delivery.id);
                continue;
            };
            // Also of a delivery that is there already: the key answers with all that its event
            // made, and the call may be the second part of it.
            if key.is_some() {
                made.push(delivery.id);
            }
            // Only what asks for it is leased: the sender reserved a place for just these.
            let worker = worker.filter(|_| delivery.lease);
            if self.insert_delivery(new, delivery, endpoint, worker, now) {
                dead.push(delivery.id);
            }
        }
        // Kept also when no endpoint was there: the same send again must not find one then and be
        // delivered.
        if let Some(key) = key {
            self.keys.insert(key, new.event.id, made, now);
        }
        if missing.len() == new.deliveries.len() {
            Enqueued::NoEndpoint
        } else {
            Enqueued::Stored { missing, dead }
        }
    }

    /// Stores one delivery, unless it is there already. Whether it went to the dead letters.
    ///
    /// A delivery over the endpoint's bound is not refused but buried at once: the other endpoints
    /// of the event get theirs, and the operator finds what is missing among the dead letters.
    fn insert_delivery(
        &mut self,
        new: &NewEvent,
        delivery: &NewDelivery,
        endpoint: u32,
        worker: Option<u32>,
        now: Timestamp,
    ) -> bool {
        let is_full = self.is_full(endpoint);
        let state = match worker {
            // A full backlog goes before a lease: the bound counts leased rows too.
            _ if is_full => DeliveryState::Dead,
            Some(_) => DeliveryState::Leased,
            None => waiting_state(new.due_at, now),
        };
        // Taken though the row may turn out to be there already; gaps do no harm.
        self.next_seq += 1;
        let row = Row {
            id: delivery.id,
            event: Arc::clone(&new.event),
            // From when the event was made, not from when it is due: a delayed event competes by
            // its age.
            sent_at: new.event.created_at,
            due_at: new.due_at,
            updated_at: now,
            seq: self.next_seq,
            // Tokens start at 1 with the first lease; a row that was never leased has 0.
            token: u64::from(worker.is_some()),
            endpoint,
            worker: worker.unwrap_or_default(),
            attempts: 0,
            max_retries: new.max_retries,
            incarnation: self.endpoints.at(endpoint).incarnation,
            by_name: delivery.by_name,
            crashes: 0,
            priority: new.priority,
            state,
            dead_reason: is_full.then_some(DeadReason::BacklogFull),
            cancel_reason: None,
        };
        self.insert(row, now) && is_full
    }

    /// Whether the endpoint has as many waiting deliveries as it may have.
    pub(crate) fn is_full(&self, endpoint: u32) -> bool {
        let waiting = self.endpoints.at(endpoint).counts.waiting();
        usize::try_from(waiting).is_ok_and(|n| n >= self.limits.waiting_per_endpoint)
    }

    /// The endpoint that a delivery is for, if that very one is there.
    ///
    /// A sender matches by definitions that may be a second old. Without the incarnation, an event
    /// of the earlier tenant would go to the later one.
    fn recipient(&self, delivery: &NewDelivery) -> Option<u32> {
        let handle = *self.endpoint_handles.get(&delivery.endpoint_id)?;
        let entry = self.endpoints.at(handle);
        let is_same = |incarnation| u64::from(entry.incarnation) == incarnation;
        (!entry.is_deleted() && delivery.incarnation.is_none_or(is_same)).then_some(handle)
    }
}

fn tenant_key(new: &NewEvent) -> Option<TenantKey> {
    let key = new.idempotency_key.clone()?;
    Some((new.event.tenant.clone(), key))
}

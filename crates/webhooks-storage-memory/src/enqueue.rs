//! Storing events with their deliveries, whole or not at all.

use webhooks_core::storage::spi::{Commit, Enqueued, NewDelivery, NewEvent};
use webhooks_core::{DeliveryState, Result, Timestamp, WebhookError, WorkerId};

use crate::idempotency::TenantKey;
use crate::making::Making;
use crate::state::State;

impl State {
    /// Stores all events of a call, or none. Nothing can fail behind
    /// [`check_room`](Self::check_room), so that a call is never left half done.
    pub(crate) fn enqueue(
        &mut self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        self.keys.expire(now);
        // Of the batch as a whole, and before anything is stored: all of it is refused, or nothing.
        self.check_room(events, now)?;
        // Who leases nothing is not yet somebody to watch.
        let mut deliveries = events.iter().flat_map(|event| &event.deliveries);
        let worker = worker.filter(|_| deliveries.any(|delivery| delivery.lease));
        let worker = worker.map(|id| self.worker(id, now));
        let answers = events
            .iter()
            .map(|event| self.enqueue_one(event, worker, now));
        Ok(Commit {
            answers: answers.collect(),
            definitions: self.definitions,
        })
    }

    /// Refuses the batch if the storage as a whole would be over its bounds.
    ///
    /// Checked before the first change, for the call as a whole.
    fn check_room(&self, events: &[NewEvent], now: Timestamp) -> Result<()> {
        let upper: usize = events.iter().map(|e| e.deliveries.len()).sum();
        self.check_rows(upper, || self.new_rows(events, now))?;
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

    /// Refuses to make rows over the bound of the whole storage: at most `upper`, and just so many.
    ///
    /// The exact number takes a look-up per delivery, so that it is asked for only when it matters.
    pub(crate) fn check_rows(&self, upper: usize, exact: impl Fn() -> usize) -> Result<()> {
        let (most, occupied) = (self.limits.deliveries, self.occupied());
        if occupied + upper <= most || occupied + exact() <= most {
            return Ok(());
        }
        let text = format!(
            "the memory storage holds {occupied} waiting and dead deliveries, at most {most}"
        );
        Err(WebhookError::Overloaded(text.into()))
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
        if first.event_id == new.event.id {
            return None;
        }
        // A key that was used for other data is a sender's mistake, and must not look like success.
        let differs = match (first.fingerprint, new.fingerprint) {
            (Some(first), Some(new)) => first != new,
            _ => false,
        };
        Some(match differs {
            true => Enqueued::KeyReused,
            false => Enqueued::Duplicate {
                event_id: first.event_id,
                delivery_ids: first.delivery_ids.clone(),
            },
        })
    }

    /// Stores one event. Events are taken one after the other, so that a key that is used twice
    /// within a call finds its first use.
    fn enqueue_one(&mut self, new: &NewEvent, worker: Option<u32>, now: Timestamp) -> Enqueued {
        if let Some(answer) = self.first_send(new, now) {
            return answer;
        }
        let key = tenant_key(new);
        let (mut made, mut missing, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        let (event, is_new) = self.event_of(new);
        let is_erased = self.events.at(event).is_erased();
        for delivery in &new.deliveries {
            let endpoint = self.recipient(delivery);
            // What was erased must not come back by a call that is made again.
            let can_be_made = |_: &u32| !is_erased || self.by_id.contains_key(&delivery.id);
            let Some(endpoint) = endpoint.filter(can_be_made) else {
                missing.push(delivery.id);
                continue;
            };
            // Also of a delivery that is there already: the key answers with all that its event
            // made, and the call may be the second part of it.
            if key.is_some() {
                made.push(delivery.id);
            }
            let making = Making {
                delivery,
                event,
                endpoint,
                // Only what asks for it is leased: the sender reserved a place for just these.
                worker: worker.filter(|_| delivery.lease),
                priority: new.priority,
                // From when the event was made, not from when it is due: a delayed event competes
                // by its age.
                sent_at: new.event.created_at,
                due_at: new.due_at,
            };
            if self.make(&making, now) == Some(DeliveryState::Dead) {
                dead.push(delivery.id);
            }
        }
        // Kept also when no endpoint was there: the same send again must not find one then and be
        // delivered.
        if let Some(key) = key {
            self.keys.insert(key, new, made, now);
        }
        let is_unused = is_new && self.events.at(event).deliveries.is_empty();
        match is_unused && !new.keep {
            true => self.drop_event(event),
            false => self.note_bare(event),
        }
        if missing.len() == new.deliveries.len() {
            Enqueued::NoEndpoint
        } else {
            Enqueued::Stored { missing, dead }
        }
    }

    /// The endpoint that a delivery is for, if that very one is there.
    ///
    /// A sender matches by definitions that may be a second old. Without the incarnation, an event
    /// of the earlier tenant would go to the later one.
    pub(crate) fn recipient(&self, delivery: &NewDelivery) -> Option<u32> {
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

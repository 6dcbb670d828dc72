//! Storing events with their deliveries, whole or not at all.

use webhooks_core::storage::spi::{Commit, Enqueued, NewEvent};
use webhooks_core::{Timestamp, WorkerId};

use crate::error::Result;
use crate::making::Making;
use crate::state::State;

impl State {
    /// Stores all events of a call.
    pub(crate) fn enqueue(
        &mut self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let worker = self.leasing_worker(events, worker, now)?;
        // Events are taken one after the other, so that a key that is used twice within a call finds
        // its first use.
        let answers = events
            .iter()
            .map(|event| self.enqueue_one(event, worker, now));
        let answers = answers.collect::<Result<_>>()?;
        Ok(Commit {
            answers,
            definitions: self.definitions()?,
        })
    }

    /// Who leases deliveries of these events. Who leases nothing is not yet somebody to watch.
    pub(crate) fn leasing_worker(
        &mut self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Option<i64>> {
        let mut deliveries = events.iter().flat_map(|event| &event.deliveries);
        let worker = worker.filter(|_| deliveries.any(|delivery| delivery.lease));
        worker.map(|id| self.worker(id, now)).transpose()
    }

    /// The revision of the last change of any definition.
    pub(crate) fn definitions(&mut self) -> Result<u64> {
        Ok(self.numbers()?.definitions.cast_unsigned())
    }

    pub(crate) fn enqueue_one(
        &mut self,
        new: &NewEvent,
        worker: Option<i64>,
        now: Timestamp,
    ) -> Result<Enqueued> {
        if let Some(answer) = self.first_send(new, now)? {
            return Ok(answer);
        }
        let known = self.event(new.event.id)?;
        let is_erased = known.as_ref().is_some_and(|event| event.is_erased);
        let (was_known, mut event) = (known.is_some(), known.map(|event| event.seq));
        let (mut made, mut missing, mut is_new) = (Vec::new(), Vec::new(), false);
        for delivery in &new.deliveries {
            // A new event has no deliveries yet: nothing needs to be looked for.
            let exists = was_known && self.has_row(delivery)?;
            let endpoint = self.recipient(delivery)?;
            // What was erased must not come back by a call that is made again.
            let Some(endpoint) = endpoint.filter(|_| exists || !is_erased) else {
                missing.push(delivery.id);
                continue;
            };
            // Also of a delivery that is there already: the key answers with all that its event
            // made, and the call may be the second part of it.
            made.push(delivery.id);
            if exists {
                continue;
            }
            let event = match event {
                Some(event) => event,
                None => *event.insert(self.add_event(new)?),
            };
            is_new = true;
            self.make(
                &Making {
                    delivery,
                    event,
                    endpoint,
                    // Only what asks for it is leased: the sender reserved a place for just these.
                    worker: worker.filter(|_| delivery.lease),
                    priority: new.priority,
                    max_retries: new.max_retries,
                    // From when the event was made, not from when it is due: a delayed event
                    // competes by its age.
                    sent_at: new.event.created_at,
                    due_at: new.due_at,
                },
                now,
            )?;
        }
        self.keep_event(new, event, is_new, was_known)?;
        // Kept also when no endpoint was there: the same send again must not find one then and be
        // delivered.
        self.keep_key(new, &made, now)?;
        Ok(match missing.len() == new.deliveries.len() {
            true => Enqueued::NoEndpoint,
            false => Enqueued::Stored {
                missing,
                dead: Vec::new(),
            },
        })
    }

    /// Keeps an event without deliveries, if it says so, and notes whether something refers to it.
    fn keep_event(
        &mut self,
        new: &NewEvent,
        event: Option<i64>,
        has_new_rows: bool,
        was_known: bool,
    ) -> Result<()> {
        match event {
            None if new.keep => {
                let event = self.add_event(new)?;
                self.note_bare(event)
            }
            Some(event) if has_new_rows && was_known => self.note_not_bare(event),
            _ => Ok(()),
        }
    }
}

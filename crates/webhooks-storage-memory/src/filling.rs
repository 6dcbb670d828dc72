//! When what is ready of an endpoint that batches may go.
//!
//! A batch is due when its number is ready or its oldest has waited long enough. Until then its
//! deliveries stay in the storage instead of with a worker: all nodes fill one batch, and a dead
//! worker costs none of it.

use std::collections::BTreeSet;

use webhooks_core::{BatchConfig, Timestamp};

use crate::endpoint_entry::EndpointEntry;
use crate::row::Row;
use crate::state::State;

/// What one claim may still take of an endpoint.
///
/// Fixed at the endpoint's first turn in a claim, and then counted down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) all: usize,
    /// Those of them that are not poison suspects.
    pub(crate) sound: usize,
}

/// The ready rows of an endpoint that batches, poison suspects aside, by due time and order. Of
/// other endpoints it is empty.
///
/// Apart from the queue of ready rows, whose order is by priority: the oldest by due time may stand
/// anywhere in it, and the wait counts from that one.
#[derive(Debug, Default)]
pub(crate) struct Filling(BTreeSet<(Timestamp, u64)>);

impl Filling {
    pub(crate) fn insert(&mut self, row: &Row) {
        self.0.insert(row.due_key());
    }

    pub(crate) fn remove(&mut self, row: &Row) {
        self.0.remove(&row.due_key());
    }
}

impl EndpointEntry {
    /// Whether the row counts for the batch that fills: a suspect one goes alone.
    ///
    /// Asked when a row enters and when it leaves, with the same answer: crashes change only while
    /// leased.
    pub(crate) fn fills_with(&self, row: &Row) -> bool {
        self.definition.batch.is_some() && !row.is_poison_suspect()
    }

    /// When the batch is due that fills, if it is not due at `now`.
    ///
    /// `None` for an endpoint that does not batch, for a batch that is full, and for one whose wait
    /// is over.
    pub(crate) fn filling_until(&self, now: Timestamp) -> Option<Timestamp> {
        let batch = self.definition.batch.as_ref()?;
        if self.ready.len() >= events(batch) {
            return None;
        }
        self.waits_until(batch).filter(|until| *until > now)
    }

    /// What a claim at `now` may take that has so much room.
    ///
    /// `all` bounds suspects too; `sound` is what batches allow, whole ones before the wait is
    /// over.
    pub(crate) fn allowance(&self, room: usize, now: Timestamp) -> Allowance {
        let Some(batch) = &self.definition.batch else {
            return Allowance {
                all: room,
                sound: room,
            };
        };
        // The gate's limit goes into the room, or a batch would be begun that the gate then cuts.
        let leases = self.gate.max_leased.map_or(u64::MAX, u64::from);
        let leases = leases.saturating_sub(self.counts.leased);
        let room = room.min(usize::try_from(leases).unwrap_or(usize::MAX));
        let most = self.ready.len().min(room);
        let is_over = self.waits_until(batch).is_none_or(|until| until <= now);
        // `checked_rem`, since a definition that was never validated may have a batch of 0.
        let sound = match most.checked_rem(events(batch)) {
            _ if self.filling_until(now).is_some() => 0,
            // The rest goes on to fill a batch.
            // With room for less than one batch, `rest` is all there is: a batch larger than the
            // room would else never be sent.
            Some(rest) if !is_over && rest < most => most - rest,
            _ => most,
        };
        Allowance { all: room, sound }
    }

    /// How many deliveries one turn gives: those of one request.
    ///
    /// The wait counts from the due time: an event that was delayed for an hour has waited for
    /// nothing yet.
    pub(crate) fn per_turn(&self) -> usize {
        self.definition.batch.as_ref().map_or(1, events)
    }

    fn waits_until(&self, batch: &BatchConfig) -> Option<Timestamp> {
        let (since, _) = self.filling.0.first()?;
        let wait = std::time::Duration::from_millis(batch.max_wait_ms);
        Some(since.after(wait))
    }
}

impl State {
    /// Notes anew what fills, after a change of the definition.
    pub(crate) fn fill_anew(&mut self, endpoint: u32) {
        let entry = self.endpoints.at_mut(endpoint);
        entry.filling.0.clear();
        if entry.definition.batch.is_some() {
            let rows = entry.ready.values().map(|handle| self.rows.at(*handle));
            entry.filling.0.extend(rows.map(Row::due_key));
        }
    }
}

fn events(batch: &BatchConfig) -> usize {
    usize::try_from(batch.max_events).unwrap_or(usize::MAX)
}

//! When what is ready of an endpoint that batches may go.

use std::time::Duration;

use webhooks_core::{BatchConfig, Timestamp};

use crate::endpoint_entry::EndpointEntry;
use crate::filling::Filling;
use crate::row::Row;
use crate::state::State;

/// What one claim may still take of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) all: usize,
    /// Those of them that are not poison suspects.
    pub(crate) sound: usize,
}

impl EndpointEntry {
    /// Whether the row counts for the batch that fills: a suspect one goes alone.
    pub(crate) fn fills_with(&self, row: &Row) -> bool {
        self.definition.batch.is_some() && !row.is_poison_suspect()
    }

    /// When the batch is due that fills, if it is not due at `now`.
    pub(crate) fn filling_until(&self, now: Timestamp) -> Option<Timestamp> {
        let batch = self.definition.batch.as_ref()?;
        if self.ready.len() >= events(batch) {
            return None;
        }
        self.waits_until(batch).filter(|until| *until > now)
    }

    /// What a claim at `now` may take that has so much room.
    pub(crate) fn allowance(&self, room: usize, now: Timestamp) -> Allowance {
        let Some(batch) = &self.definition.batch else {
            return Allowance {
                all: room,
                sound: room,
            };
        };
        let leases = self.gate.max_leased.map_or(u64::MAX, u64::from);
        let leases = leases.saturating_sub(self.counts.leased);
        let room = room.min(usize::try_from(leases).unwrap_or(usize::MAX));
        let most = self.ready.len().min(room);
        let is_over = self.waits_until(batch).is_none_or(|until| until <= now);
        let sound = match most.checked_rem(events(batch)) {
            _ if self.filling_until(now).is_some() => 0,
            // The rest goes on to fill a batch.
            Some(rest) if !is_over && rest < most => most - rest,
            _ => most,
        };
        Allowance { all: room, sound }
    }

    /// How many deliveries one turn gives: those of one request.
    pub(crate) fn per_turn(&self) -> usize {
        self.definition.batch.as_ref().map_or(1, events)
    }

    fn waits_until(&self, batch: &BatchConfig) -> Option<Timestamp> {
        let wait = Duration::from_millis(batch.max_wait_ms);
        self.filling.since().map(|since| since.after(wait))
    }
}

impl State {
    /// Notes anew what fills, after a change of the definition.
    pub(crate) fn fill_anew(&mut self, endpoint: u32) {
        let entry = self.endpoints.at_mut(endpoint);
        entry.filling = if entry.definition.batch.is_some() {
            let ready = entry.ready.values();
            ready.map(|handle| self.rows.at(*handle)).collect()
        } else {
            Filling::default()
        };
    }
}

fn events(batch: &BatchConfig) -> usize {
    usize::try_from(batch.max_events).unwrap_or(usize::MAX)
}

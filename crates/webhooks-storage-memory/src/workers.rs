//! Who leases deliveries, and what becomes of these when a worker falls silent.

use webhooks_core::storage::{Beat, HeldLease, POISON_CRASHES};
use webhooks_core::{DeadReason, DeliveryId, Timestamp, WorkerId};

use crate::state::State;
use crate::worker::Worker;

impl State {
    /// The handle of a worker, which is made known if it is not.
    pub(crate) fn worker(&mut self, id: &WorkerId, now: Timestamp) -> u32 {
        if let Some(known) = self.worker_handles.get(id) {
            return *known;
        }
        let new = self.workers.insert(Worker::new(id.clone(), now));
        self.worker_handles.insert(id.clone(), new);
        new
    }

    pub(crate) fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Vec<HeldLease> {
        let Some(worker) = self.worker_handles.get(worker) else {
            return Vec::new();
        };
        let rows = self.workers.at(*worker).leased.iter();
        let mut held: Vec<_> = rows
            .map(|handle| self.rows.at(*handle))
            .filter(|row| after.is_none_or(|after| row.id > after))
            .map(|row| HeldLease {
                delivery_id: row.id,
                endpoint_id: self.endpoints.at(row.endpoint).id.clone(),
                token: row.token,
            })
            .collect();
        held.sort_unstable_by_key(|lease| lease.delivery_id);
        held.truncate(limit);
        held
    }

    pub(crate) fn beat(&mut self, worker: Option<&WorkerId>, now: Timestamp) -> Beat {
        let mut beat = Beat {
            now,
            revision: self.revision,
            outbox: !self.fan_outs.is_empty(),
            ..Beat::default()
        };
        let Some(id) = worker else {
            return beat;
        };
        let handle = self.worker(id, now);
        let started_at = self.started_at;
        let worker = self.workers.at_mut(handle);
        let in_a_row = worker.has_beaten && !worker.given_up && !worker.is_silent(started_at, now);
        beat.before = worker.has_beaten.then_some(worker.seen_at);
        beat.lost = std::mem::take(&mut worker.given_up);
        worker.has_beaten = true;
        worker.seen_at = now;
        if in_a_row {
            beat.rescued = self.rescue(now);
        }
        beat
    }

    /// Gives silent workers up and takes their deliveries back.
    fn rescue(&mut self, now: Timestamp) -> usize {
        let started_at = self.started_at;
        let mut orphans = Vec::new();
        for worker in self.workers.values_mut() {
            // One that was given up may have claimed again before it heard of it.
            if worker.is_silent(started_at, now) {
                worker.given_up = true;
                orphans.extend(worker.leased.iter().copied());
            }
        }
        for handle in &orphans {
            self.take_back(*handle, now);
        }
        orphans.len()
    }

    fn take_back(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at_mut(handle);
        row.crashes = row.crashes.saturating_add(1);
        let is_poison = u32::from(row.crashes) >= POISON_CRASHES;
        let due_at = row.due_at.min(now);
        if let Some(reason) = self.stranded(self.rows.at(handle)) {
            self.cancel(handle, reason, now);
        } else if is_poison {
            self.bury(handle, DeadReason::Poison, now);
        } else {
            self.wait_until(handle, due_at, now);
        }
    }

    /// Forgets workers that hold nothing and have not been seen since `cutoff`.
    pub(crate) fn forget_workers(&mut self, cutoff: Timestamp) {
        let handles = &mut self.worker_handles;
        self.workers.retain(|worker| {
            let keep = !worker.leased.is_empty() || worker.seen_at >= cutoff;
            if !keep {
                handles.remove(&worker.id);
            }
            keep
        });
    }
}

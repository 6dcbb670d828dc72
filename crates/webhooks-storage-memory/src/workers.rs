//! Beats, and what becomes of the deliveries of workers that stop beating.

use webhooks_core::storage::WorkerRecord;
use webhooks_core::storage::spi::{Beat, HeldLease, POISON_CRASHES};
use webhooks_core::{DeadReason, DeliveryId, Timestamp, WorkerId};

use crate::state::State;
use crate::worker::Worker;

impl State {
    /// The handle of a worker, which is made known if it is not.
    pub(crate) fn worker(&mut self, id: &WorkerId, now: Timestamp) -> u32 {
        // `seen_at` stays as it is: of a known worker, only a beat is a sign of life.
        if let Some(known) = self.worker_handles.get(id) {
            return *known;
        }
        let new = self.workers.insert(Worker::new(id.clone(), now));
        self.worker_handles.insert(id.clone(), new);
        new
    }

    /// What a worker holds, by id, behind `after`. All of it is sorted for each page, which costs
    /// no more than the bound on held leases of one process.
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

    /// The workers that are remembered, by id.
    pub(crate) fn list_workers(&self) -> Vec<WorkerRecord> {
        let workers = self.workers.iter().map(|(_, worker)| {
            let leased = worker.leased.len() as u64;
            WorkerRecord::new(worker.id.clone(), worker.seen_at, leased)
        });
        let mut workers: Vec<_> = workers.collect();
        workers.sort_unstable_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        workers
    }

    /// Notes a sign of life, and takes back what silent workers hold. Without a worker, only reads.
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
        // Judged by the beat before this one, and before it is overwritten. Only a worker that has
        // beaten twice in a row may judge others: after a standstill of the whole machine, all of
        // them look silent to the first that wakes, and it would give healthy ones up.
        let in_a_row = worker.has_beaten && !worker.given_up && !worker.is_silent(started_at, now);
        beat.before = worker.has_beaten.then_some(worker.seen_at);
        // Told once, and in the same step forgotten: the worker goes on as a new one, and only its
        // old tokens stay worthless.
        beat.lost = std::mem::take(&mut worker.given_up);
        // After `in_a_row` and `before`, which speak of the beat before.
        worker.has_beaten = true;
        worker.seen_at = now;
        if in_a_row {
            beat.rescued = self.rescue(now);
        }
        beat
    }

    /// Gives silent workers up and takes their deliveries back.
    ///
    /// Handles are gathered first, since taking a row back changes the set that is being walked.
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

    /// Takes one delivery from a dead worker: it waits again, unless it cannot (`stranded`) or was
    /// there at too many deaths.
    fn take_back(&mut self, handle: u32, now: Timestamp) {
        // The crash is counted while the row is still leased: in a queue of ready rows, the count
        // decides which queue that is, and the row would not be found there again.
        let row = self.rows.at_mut(handle);
        row.crashes = row.crashes.saturating_add(1);
        let is_poison = u32::from(row.crashes) >= POISON_CRASHES;
        // What was leased straight from a send may be due only later by its own time; its turn had
        // come already, so it is ready at once.
        let due_at = row.due_at.min(now);
        // Before the poison rule: what can never be sent again is no dead letter that somebody
        // should replay.
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
        // One that holds something stays whatever its age: its rows point at its handle.
        self.workers.retain(|worker| {
            let keep = !worker.leased.is_empty() || worker.seen_at >= cutoff;
            if !keep {
                handles.remove(&worker.id);
            }
            keep
        });
    }
}

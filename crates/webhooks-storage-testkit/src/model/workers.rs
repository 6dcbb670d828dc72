use webhooks_core::storage::spi::{IDEMPOTENCY_WINDOW, POISON_CRASHES, WORKER_DEAD_AFTER};
use webhooks_core::{DeadReason, DeliveryState, Timestamp};

use super::{Model, ModelWorker};

impl Model {
    /// How many were rescued, and whether the worker had been given up, if the storage has to know:
    /// it may forget a worker after a day.
    pub(crate) fn beat(&mut self, worker: &str, now: Timestamp) -> (usize, Option<bool>) {
        let silent = |w: &ModelWorker| now.since(w.beat_at) >= WORKER_DEAD_AFTER;
        let before = self.workers.get(worker);
        let in_a_row = before.is_some_and(|w| !w.given_up && !silent(w));
        let is_known = before.is_none_or(|w| now.since(w.beat_at) < IDEMPOTENCY_WINDOW);
        let lost = is_known.then(|| before.is_some_and(|w| w.given_up));
        let alive = ModelWorker {
            beat_at: now,
            given_up: false,
        };
        self.workers.insert(worker.into(), alive);
        if !in_a_row {
            return (0, lost);
        }
        let mut rescued = 0;
        for (name, worker) in &mut self.workers {
            if !silent(worker) {
                continue;
            }
            worker.given_up = true;
            for row in &mut self.rows {
                if row.state == DeliveryState::Leased && row.worker == *name {
                    row.crashes += 1;
                    row.state = DeliveryState::Ready;
                    row.due_at = row.due_at.min(now);
                    // Marked by its holder's name until it is judged below.
                    row.worker = String::new();
                    rescued += 1;
                }
            }
        }
        for row in 0..self.rows.len() {
            let freed = self.rows[row].state == DeliveryState::Ready;
            if !freed {
                continue;
            }
            if let Some(reason) = self.stranded(row) {
                self.cancel(row, reason, now);
            } else if self.rows[row].crashes >= POISON_CRASHES {
                self.bury(row, DeadReason::Poison, now);
            }
        }
        (rescued, lost)
    }

    /// Whether the worker may claim: it has beaten lately.
    pub(crate) fn is_alive(&self, worker: &str, now: Timestamp) -> bool {
        let alive = |w: &ModelWorker| now.since(w.beat_at) < WORKER_DEAD_AFTER;
        self.workers.get(worker).is_some_and(alive)
    }
}

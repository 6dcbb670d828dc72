//! What came of requests. Only the holder of the current lease changes anything but the log.

use webhooks_core::storage::{SettleAs, Settled, Settlement};
use webhooks_core::{DeliveryState, Timestamp, WorkerId};

use crate::state::State;

impl State {
    pub(crate) fn settle(
        &mut self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Vec<Settled> {
        let worker = self.worker_handles.get(worker).copied();
        settlements
            .iter()
            .map(|settlement| self.settle_one(worker, settlement, now))
            .collect()
    }

    fn settle_one(&mut self, worker: Option<u32>, s: &Settlement, now: Timestamp) -> Settled {
        let held = self.held_lease(worker, s);
        // The request was made, whoever holds the lease now: it is logged as ambiguous.
        if let Some(attempt) = &s.attempt {
            self.log.push(attempt, held.is_none(), &self.limits);
        }
        let Some(handle) = held else {
            return Settled::Stale;
        };
        let row = self.rows.at_mut(handle);
        row.attempts = row.attempts.saturating_add(u32::from(s.attempt.is_some()));
        let stranded = self.stranded(self.rows.at(handle));
        match s.settle_as {
            SettleAs::Delivered => self.move_to(handle, DeliveryState::Delivered, now),
            SettleAs::Dead { reason } => self.bury(handle, reason, now),
            SettleAs::Cancelled { reason } => self.cancel(handle, reason, now),
            SettleAs::Retry { at } | SettleAs::Release { at } => {
                // Nothing waits for an endpoint that is gone; what was delivered or is dead stays
                // so.
                if let Some(reason) = stranded {
                    self.cancel(handle, reason, now);
                    return Settled::Cancelled;
                }
                self.wait_until(handle, at, now);
            }
        }
        Settled::Applied
    }

    /// The row, if this worker holds it with this token.
    fn held_lease(&self, worker: Option<u32>, s: &Settlement) -> Option<u32> {
        let handle = *self.by_id.get(&s.delivery_id)?;
        let row = self.rows.at(handle);
        let holds = row.state == DeliveryState::Leased
            && Some(row.worker) == worker
            && row.token == s.token;
        holds.then_some(handle)
    }
}

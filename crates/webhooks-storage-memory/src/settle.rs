//! What comes of leased deliveries. Only the holder of the current token changes one; everyone else
//! is told that the lease is lost.

use std::num::NonZeroU16;

use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::{DeliveryState, Timestamp, WorkerId};

use crate::state::State;

impl State {
    /// Settles in order, one answer each. A later settlement is judged after those before it, so
    /// that the second of two for one lease is stale.
    pub(crate) fn settle(
        &mut self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Vec<Settled> {
        // A worker that is not known holds nothing. It is not made known here: only leases and
        // beats do.
        let worker = self.worker_handles.get(worker).copied();
        settlements
            .iter()
            .map(|settlement| self.settle_one(worker, settlement, now))
            .collect()
    }

    /// Settles one delivery. What happened is logged in any case; it counts only for who holds the
    /// lease.
    fn settle_one(&mut self, worker: Option<u32>, s: &Settlement, now: Timestamp) -> Settled {
        let held = self.held_lease(worker, s);
        // Before the staleness ends the call: the request was made, and the receiver may have seen
        // it twice.
        if let Some(attempt) = &s.attempt {
            self.log.push(attempt, held.is_none(), &self.limits);
        }
        let Some(handle) = held else {
            return Settled::Stale;
        };
        if let Some(attempt) = &s.attempt {
            let row = self.rows.at_mut(handle);
            row.attempts = row.attempts.saturating_add(1);
            // With the row, since the log forgets earlier.
            row.last_status = attempt.status.and_then(NonZeroU16::new);
            row.last_failure = attempt.failure;
        }
        match s.settle_as {
            SettleAs::Delivered => self.move_to(handle, DeliveryState::Delivered, now),
            SettleAs::Dead { reason } => self.bury(handle, reason, now),
            SettleAs::Cancelled { reason } => self.cancel(handle, reason, now),
            SettleAs::Retry { at } | SettleAs::Release { at } => {
                // Judged now and not at the lease: the endpoint may have been deleted, replaced or
                // the payload erased while the request ran. Waiting again for an endpoint that is
                // gone, it would never be claimed and never end. An outcome that ends the delivery
                // stands all the same.
                if let Some(reason) = self.stranded(self.rows.at(handle)) {
                    self.cancel(handle, reason, now);
                    return Settled::Cancelled;
                }
                self.wait_until(handle, at, now);
            }
        }
        Settled::Applied
    }

    /// The row, if this worker holds it with this token.
    ///
    /// All three have to agree. The token alone would do for one row, but a worker that came back
    /// under a new id must not settle what its earlier self was given.
    fn held_lease(&self, worker: Option<u32>, s: &Settlement) -> Option<u32> {
        let handle = *self.by_id.get(&s.delivery_id)?;
        let row = self.rows.at(handle);
        let holds = row.state == DeliveryState::Leased
            && Some(row.worker) == worker
            && row.token == s.token;
        holds.then_some(handle)
    }
}

//! What comes of leased deliveries. Only the holder of the current token changes one; everyone else
//! is told that the lease is lost.

use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::{DeliveryState, Timestamp, WorkerId};

use crate::error::Result;
use crate::row::Row;
use crate::state::State;

impl State {
    /// Settles in order, one answer each. A later settlement is judged after those before it, so
    /// that the second of two for one lease is stale.
    pub(crate) fn settle(
        &mut self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        // A worker that is not known holds nothing. It is not made known here: only leases and
        // beats do.
        let worker = self.known_worker(worker)?;
        settlements
            .iter()
            .map(|settlement| self.settle_one(worker, settlement, now))
            .collect()
    }

    /// Settles one delivery. What happened is logged in any case; it counts only for who holds the
    /// lease.
    fn settle_one(
        &mut self,
        worker: Option<i64>,
        s: &Settlement,
        now: Timestamp,
    ) -> Result<Settled> {
        // What is not there any more has no log either.
        let Some(mut row) = self.row(s.delivery_id)? else {
            return Ok(Settled::Stale);
        };
        let is_held = holds(&row, worker, s.token);
        // Before the staleness ends the call: the request was made, and the receiver may have seen
        // it twice.
        if let Some(attempt) = &s.attempt {
            self.log_attempt(row.seq, attempt, !is_held)?;
        }
        if !is_held {
            return Ok(Settled::Stale);
        }
        if let Some(attempt) = &s.attempt {
            row.attempts = row.attempts.saturating_add(1);
            // With the row, since the log forgets earlier.
            (row.last_status, row.last_failure) = (attempt.status, attempt.failure);
        }
        match s.settle_as {
            SettleAs::Delivered => self.move_to(&mut row, DeliveryState::Delivered, now)?,
            SettleAs::Dead { reason } => self.bury(&mut row, reason, now)?,
            SettleAs::Cancelled { reason } => self.cancel(&mut row, reason, now)?,
            SettleAs::Retry { at } | SettleAs::Release { at } => {
                // Judged now and not at the lease: the endpoint may have been deleted or replaced,
                // or the payload erased while the request ran. Waiting again for an endpoint that is
                // gone, it would never be claimed and never end.
                if let Some(reason) = self.stranded(&row)? {
                    self.cancel(&mut row, reason, now)?;
                    return Ok(Settled::Cancelled);
                }
                self.wait_until(&mut row, at, now)?;
            }
        }
        Ok(Settled::Applied)
    }
}

/// Whether this worker holds the row with this token. All three have to agree: a worker that came
/// back under a new id must not settle what its earlier self was given.
fn holds(row: &Row, worker: Option<i64>, token: u64) -> bool {
    let is_leased = row.state == DeliveryState::Leased;
    is_leased && row.worker == worker && row.token.cast_unsigned() == token
}

//! How rows go from state to state. [`State::insert`], [`State::move_to`] and [`State::remove`] are
//! the only ways, and keep the counts and the orders right.

use webhooks_core::{CancelReason, DeadReason, DeliveryState, Timestamp};

use crate::error::Result;
use crate::row::Row;
use crate::state::State;

impl State {
    /// Keeps a new row, of which there is none with its id.
    pub(crate) fn insert(&mut self, row: &Row) -> Result<()> {
        self.insert_row(row)?;
        self.wake |= matches!(row.state, DeliveryState::Ready | DeliveryState::Scheduled);
        self.count(row.endpoint, |delta| {
            delta.enqueued += 1;
            delta.add(row.state, 1);
        });
        Ok(())
    }

    /// Moves a row to another state, with all else that was changed of it.
    pub(crate) fn move_to(
        &mut self,
        row: &mut Row,
        to: DeliveryState,
        now: Timestamp,
    ) -> Result<()> {
        let from = std::mem::replace(&mut row.state, to);
        row.updated_at = now;
        if to != DeliveryState::Leased {
            row.worker = None;
        }
        let leaves_line = row.in_line && to.is_ended() && !row.holds_its_order();
        row.in_line &= !leaves_line;
        self.update_row(row)?;
        // A lease that ends may open a limit of them; a first time that comes is news to who waits.
        self.wake |= to != DeliveryState::Leased && !to.is_ended() || from == DeliveryState::Leased;
        self.count(row.endpoint, |delta| {
            delta.add(from, -1);
            delta.add(to, 1);
        });
        if leaves_line {
            self.let_next_go(row, now)?;
        }
        Ok(())
    }

    /// Moves a row to where it waits until it is due.
    pub(crate) fn wait_until(
        &mut self,
        row: &mut Row,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        row.due_at = due_at;
        self.move_to(row, waiting_state(due_at, now), now)
    }

    /// Moves a row to the dead letters.
    pub(crate) fn bury(&mut self, row: &mut Row, reason: DeadReason, now: Timestamp) -> Result<()> {
        row.dead_reason = Some(reason);
        self.move_to(row, DeliveryState::Dead, now)
    }

    /// Cancels a row.
    pub(crate) fn cancel(
        &mut self,
        row: &mut Row,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<()> {
        row.cancel_reason = Some(reason);
        self.move_to(row, DeliveryState::Cancelled, now)
    }

    /// Drops an ended row with its attempts. The totals of what ended stay.
    pub(crate) fn remove(&mut self, row: &Row, now: Timestamp) -> Result<()> {
        self.execute(
            "DELETE FROM webhook_attempts WHERE delivery = ?1",
            [row.seq],
        )?;
        self.execute("DELETE FROM webhook_queue WHERE seq = ?1", [row.seq])?;
        if row.in_line {
            self.let_next_go(row, now)?;
        }
        self.note_bare(row.event)
    }
}

/// The state of what waits until `due_at`.
pub(crate) fn waiting_state(due_at: Timestamp, now: Timestamp) -> DeliveryState {
    if due_at > now {
        DeliveryState::Scheduled
    } else {
        DeliveryState::Ready
    }
}

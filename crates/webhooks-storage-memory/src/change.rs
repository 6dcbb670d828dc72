//! Changes of many deliveries by hand, a bounded number of rows at a time.

use webhooks_core::storage::spi::FanOut;
use webhooks_core::storage::{Change, Changed, DeliveryQuery};
use webhooks_core::{CancelReason, DeliveryState, Timestamp};

use crate::places::count_of;
use crate::row::Row;
use crate::state::State;

impl State {
    /// Looks at a bounded number of rows, so that a change of a million keeps nobody waiting.
    ///
    /// A step may change nothing and still have a `next`: it looked at rows to which nothing
    /// applies.
    pub(crate) fn change(
        &mut self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Changed {
        // Before the deliveries: a part that comes between could make new ones that the change
        // should meet.
        if FanOut::may_end_with(query, to) {
            self.end_fan_outs(query, to);
        }
        // What applies is found first and changed then. Nothing is inserted in between, so a handle
        // that is still in use is still the same row's.
        let (found, next) = self.find(query, limit, |row| self.applies(row, to));
        let mut changed = 0;
        for handle in found {
            // What is cancelled may push older ended rows out, which may be in the list too.
            let Some(row) = self.rows.get(handle) else {
                continue;
            };
            match to {
                // Each one that is sent again fills the backlog by one.
                Change::Replay | Change::Resend if self.has_no_room_for(row) => continue,
                Change::Replay | Change::Resend => self.send_again(handle, now),
                Change::Cancel => self.cancel(handle, CancelReason::ByHand, now),
                Change::Purge => self.purge(handle, now),
                Change::Erase => self.erase(handle, now),
            }
            changed += 1;
        }
        Changed::new(changed, next)
    }

    /// Whether a change applies to a row. A leased one is its holder's: only its payload can be
    /// erased, and what comes of it is decided at its settlement.
    fn applies(&self, row: &Row, to: Change) -> bool {
        match to {
            Change::Replay => row.state == DeliveryState::Dead && self.stranded(row).is_none(),
            Change::Resend => row.state.is_ended() && self.stranded(row).is_none(),
            Change::Cancel => row.is_idle(),
            Change::Purge => row.state.is_ended(),
            Change::Erase => !self.is_erased(row),
        }
    }

    /// Whether sending a row again would pass a bound. Dead ones count for the bound of the whole
    /// storage already.
    fn has_no_room_for(&self, row: &Row) -> bool {
        let is_new = row.state != DeliveryState::Dead;
        self.is_full(row.endpoint) || is_new && self.occupied() >= self.limits.deliveries
    }

    /// Lets an ended row begin a new series, behind what was sent before now.
    ///
    /// What holds its order still stands first in it, and goes on from there. Any other one goes to
    /// the end of its order.
    fn send_again(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (order, holds) = (row.order(), self.holds_order(row));
        // While the row still names the place that it leaves.
        self.leave(handle, now);
        let is_behind = !holds && order.is_some_and(|order| self.has_line(order));
        self.next_seq += 1;
        let row = self.rows.at_mut(handle);
        row.begin_anew(now);
        (row.due_at, row.updated_at) = (now, now);
        row.state = match is_behind {
            true => DeliveryState::Blocked,
            false => DeliveryState::Ready,
        };
        if !holds {
            row.seq = self.next_seq;
            self.join_line(handle);
        }
        self.enter(handle, now);
    }

    /// Drops an ended row. A dead one goes from the dead to the purged, so that the sum of the
    /// counts stays; what was delivered or cancelled stays in its total.
    fn purge(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (endpoint, state) = (row.endpoint, row.state);
        self.remove(handle, now);
        // [`State::remove`] counts the dead row on, as for one that expired.
        if state == DeliveryState::Dead {
            self.count(endpoint, |c| {
                *count_of(c, state) -= 1;
                c.purged += 1;
            });
        }
    }
}

//! Changes of many deliveries by hand, a bounded number of rows at a time.

use webhooks_core::storage::spi::FanOut;
use webhooks_core::storage::{Change, Changed, DeliveryQuery};
use webhooks_core::{CancelReason, DeliveryState, Timestamp};

use crate::candidates::Candidate;
use crate::error::Result;
use crate::listing::find_rows;
use crate::row::Row;
use crate::state::State;

impl State {
    /// Looks at a bounded number of rows, so that a change of a million keeps nobody waiting.
    ///
    /// A step may change nothing and still have a `next`: it looked at rows to which nothing applies.
    pub(crate) fn change(
        &mut self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        // Before the deliveries: a part that comes between could make new ones that the change
        // should meet.
        if FanOut::may_end_with(query, to) {
            self.end_fan_outs(query, to)?;
        }
        // What applies is found first and changed then.
        let (found, next) = find_rows(&self.db, query, limit, |found| self.applies(found, to))?;
        let mut changed = 0;
        for Candidate { row, .. } in found {
            // The end of one may have let another one go in the meantime.
            let Some(mut row) = self.row_at(row.seq)? else {
                continue;
            };
            match to {
                Change::Replay | Change::Resend => self.send_again(&mut row, now)?,
                Change::Cancel => self.cancel(&mut row, CancelReason::ByHand, now)?,
                Change::Purge => self.purge(&row, now)?,
                Change::Erase => self.erase(&mut row, now)?,
            }
            changed += 1;
        }
        Ok(Changed::new(changed, next))
    }

    /// Whether a change applies to a row. A leased one is its holder's: only its payload can be
    /// erased, and what comes of it is decided at its settlement.
    fn applies(&self, found: &Candidate, to: Change) -> Result<bool> {
        let row = &found.row;
        Ok(match to {
            Change::Replay => row.state == DeliveryState::Dead && self.stranded(row)?.is_none(),
            Change::Resend => row.state.is_ended() && self.stranded(row)?.is_none(),
            Change::Cancel => row.is_idle(),
            Change::Purge => row.state.is_ended(),
            Change::Erase => !found.is_erased,
        })
    }

    /// Lets an ended row begin a new series, behind what was sent before now.
    ///
    /// What holds its order still stands first in it, and goes on from there. Any other one goes to
    /// the end of its order.
    fn send_again(&mut self, row: &mut Row, now: Timestamp) -> Result<()> {
        let holds = row.holds_its_order() && row.in_line;
        let is_behind = match &row.order_key {
            Some(key) if !holds => self.has_line(row.endpoint, row.incarnation, key)?,
            _ => false,
        };
        row.begin_anew(now);
        if !holds {
            row.place = self.next(|numbers| &mut numbers.place)?;
            row.in_line = row.order_key.is_some();
        }
        let to = match is_behind {
            true => DeliveryState::Blocked,
            false => DeliveryState::Ready,
        };
        self.move_to(row, to, now)
    }

    /// Drops an ended row. A dead one goes from the dead to the purged, so that the sum of the counts
    /// stays; what was delivered or cancelled stays in its total.
    fn purge(&mut self, row: &Row, now: Timestamp) -> Result<()> {
        self.remove(row, now)?;
        if row.state == DeliveryState::Dead {
            self.count(row.endpoint, |delta| {
                delta.add(DeliveryState::Dead, -1);
                delta.purged += 1;
            });
        }
        Ok(())
    }
}

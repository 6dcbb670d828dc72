//! Dropping payloads: of one delivery, and of whole events.

use webhooks_core::storage::DeliveryQuery;
use webhooks_core::{CancelReason, EventId, Timestamp};

use crate::columns::long;
use crate::error::Result;
use crate::event_row::{EventRow, event_columns};
use crate::row::{Row, select_rows};
use crate::state::State;

/// Events that one step looks at.
const MOST_SCANNED: usize = 2_000;

const HAS_MORE: &str = "SELECT EXISTS (SELECT 1 FROM webhook_queue \
    WHERE event = ?1 AND erased = 0) OR EXISTS (SELECT 1 FROM webhook_fan_outs WHERE event = ?1)";
const EMPTY: &str = "UPDATE webhook_events SET payload = NULL WHERE seq = ?1";
const ROWS: &str = select_rows!("FROM webhook_queue q WHERE q.event = ?1");
const NAMED: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM webhook_events v WHERE v.id = ?1"
);
const NEWEST: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM webhook_events v WHERE v.id < ?1 ORDER BY v.id DESC LIMIT ?2"
);

impl State {
    /// Drops the payload of one delivery, and that of its event with the last of its deliveries.
    ///
    /// An event that is not yet stored for all of its endpoints has more deliveries than are there.
    pub(crate) fn erase(&mut self, row: &mut Row, now: Timestamp) -> Result<()> {
        row.erased = true;
        self.update_row(row)?;
        if !self.value::<bool>(HAS_MORE, [row.event])? {
            self.execute(EMPTY, [row.event])?;
        }
        self.end_erased(row, now)
    }

    /// What cannot be sent any more must not wait, nor hold others. A leased one is cancelled when it
    /// would wait again.
    fn end_erased(&mut self, row: &mut Row, now: Timestamp) -> Result<()> {
        if row.is_idle() {
            return self.cancel(row, CancelReason::Erased, now);
        }
        if row.state.is_ended() && row.in_line {
            row.in_line = false;
            self.update_row(row)?;
            self.let_next_go(row, now)?;
        }
        Ok(())
    }

    /// Drops the payloads of events that match as a whole, looking at a bounded number of them behind
    /// `before`. Where to go on, if there is more to look at.
    ///
    /// After the deliveries: what is left then are events without any, and deliveries that have
    /// changed since the query's time, which have nothing to send either.
    pub(crate) fn erase_events(
        &mut self,
        query: &DeliveryQuery,
        before: Option<EventId>,
        now: Timestamp,
    ) -> Result<Option<EventId>> {
        let events = match query.event_id {
            Some(id) => self.all(NAMED, [id.as_uuid().into_bytes()], |row| {
                EventRow::of(row, 0)
            })?,
            None => {
                let before = before.map(|id| id.as_uuid().into_bytes().to_vec());
                let before = before.unwrap_or_else(|| vec![0xff; 17]);
                self.all(NEWEST, (before, long(MOST_SCANNED)), |row| {
                    EventRow::of(row, 0)
                })?
            }
        };
        for event in &events {
            if event.is_erased || !query.is_of_event(&event.event) {
                continue;
            }
            self.execute(EMPTY, [event.seq])?;
            for row in self.all(ROWS, [event.seq], Row::of)? {
                // The end of one may have let another one go in the meantime.
                if let Some(mut row) = self.row_at(row.seq)? {
                    self.end_erased(&mut row, now)?;
                }
            }
        }
        let last = events.last().map(|event| event.event.id);
        Ok(last.filter(|_| events.len() == MOST_SCANNED))
    }
}

//! Events for more endpoints than one call stores. The storage keeps how far each has come, so that
//! another process can go on if the sender dies in the middle.

use rusqlite::Connection;
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, Fingerprint, NewEvent, PartPlace};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{EventId, Timestamp};

use crate::columns::long;
use crate::error::{Result, unknown};
use crate::event_row::{EventRow, event_columns};
use crate::state::{State, all};

const MOVE: &str = "INSERT INTO webhook_fan_outs (event, idempotency_key, fingerprint, keep, up_to, \
    moved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT (event) DO UPDATE SET moved_at = excluded.moved_at, \
    up_to = max(up_to, excluded.up_to)";
const FIND: &str = "SELECT v.seq FROM webhook_events v JOIN webhook_fan_outs f ON f.event = v.seq \
    WHERE v.id = ?1";
const FORGET: &str = "DELETE FROM webhook_fan_outs WHERE event = ?1";
const IDLE: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", v.payload, f.idempotency_key, f.fingerprint, f.keep, f.up_to \
     FROM webhook_fan_outs f JOIN webhook_events v ON v.seq = f.event \
     WHERE f.moved_at <= ?1 AND f.event > ?3 ORDER BY f.event LIMIT ?2"
);
/// Fan-outs that are looked at together: with their payloads, of which each may be large.
const PIECE: usize = 16;
/// The column of a statement of fan-outs that follows those of its event.
const BEHIND: usize = 13;

impl State {
    /// Stores one part, and with it where the next one goes on. `None` if there is no such fan-out
    /// to go on with.
    pub(crate) fn fan_out(
        &mut self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let id = part.event.event.id;
        match part.place {
            // A first part made a second time finds its deliveries stored.
            PartPlace::First => {}
            PartPlace::FirstOfOutbox if self.take_from_outbox(id)? => {}
            // Ended by a change or done by another process: storing what is left would undo an
            // erasure.
            PartPlace::Later if self.unfinished(id)?.is_some() => {}
            PartPlace::Later | PartPlace::FirstOfOutbox => return Ok(None),
        }
        // Without a worker: parts are large, and are claimed as any other backlog.
        let answer = self.enqueue_one(&part.event, None, now)?;
        if matches!(answer, Enqueued::Duplicate { .. } | Enqueued::KeyReused) {
            return Ok(Some(answer));
        }
        match &part.up_to {
            Some(up_to) => self.go_on_behind(part, up_to, now)?,
            // The last part forgets the fan-out in the same step, so that nobody begins it anew.
            None => {
                if let Some(event) = self.unfinished(id)? {
                    self.forget_fan_out(event)?;
                }
            }
        }
        Ok(Some(answer))
    }

    /// Notes where the next part goes on. Two processes may be at it: it never goes back.
    fn go_on_behind(&mut self, part: &FanOutPart, up_to: &str, now: Timestamp) -> Result<()> {
        let new = &part.event;
        // Kept though no delivery may have been made so far.
        let event = match self.event(new.event.id)? {
            Some(event) => event.seq,
            None => self.add_event(new)?,
        };
        let fingerprint = new.fingerprint.map(|Fingerprint(bytes)| bytes);
        let key = new.idempotency_key.as_deref();
        self.execute(
            MOVE,
            (event, key, fingerprint, new.keep, up_to, now.as_millis()),
        )?;
        self.note_not_bare(event)
    }

    /// The event of a fan-out that is not done.
    pub(crate) fn unfinished(&self, id: EventId) -> Result<Option<i64>> {
        self.find(FIND, [id.as_uuid().as_bytes().as_slice()], |row| row.get(0))
    }

    fn forget_fan_out(&mut self, event: i64) -> Result<()> {
        self.execute(FORGET, [event])?;
        self.note_bare(event)
    }

    /// Ends the fan-outs of events whose deliveries are changed as a whole.
    ///
    /// What such a change does to the deliveries that are stored, it must do to those that are not
    /// yet: parts that came after an erasure would bring the payload back.
    pub(crate) fn end_fan_outs(&mut self, query: &DeliveryQuery, to: Change) -> Result<()> {
        let (any, mut after) = (Timestamp::from_millis(i64::MAX), 0);
        loop {
            let piece = fan_outs(&self.db, any, after, PIECE)?;
            for FanOut { event: new, .. } in &piece {
                let event = self.unfinished(new.event.id)?;
                let event = event.ok_or_else(|| unknown("the event of a fan-out"))?;
                after = event;
                if FanOut::ends_with(new, query, to) {
                    self.forget_fan_out(event)?;
                }
            }
            if piece.len() < PIECE {
                return Ok(());
            }
        }
    }
}

/// Fan-outs of which no part was stored since this time, of events with a larger number.
pub(crate) fn fan_outs(
    db: &Connection,
    idle_since: Timestamp,
    after: i64,
    limit: usize,
) -> Result<Vec<FanOut>> {
    let params = (idle_since.as_millis(), long(limit), after);
    all(db, IDLE, params, |row| {
        let event = EventRow::whole(row, 0)?;
        let fingerprint: Option<[u8; 16]> = row.get(BEHIND + 1)?;
        Ok(FanOut {
            event: NewEvent {
                priority: event.priority,
                due_at: event.due_at,
                max_retries: event.max_retries,
                idempotency_key: row.get(BEHIND)?,
                fingerprint: fingerprint.map(Fingerprint),
                keep: row.get(BEHIND + 2)?,
                deliveries: Vec::new(),
                event: event.event,
            },
            up_to: row.get(BEHIND + 3)?,
        })
    })
}

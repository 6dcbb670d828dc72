//! Events that were sent inside transactions of others: reading them, and taking them out with their
//! deliveries.

use bytes::Bytes;
use webhooks_core::storage::spi::{Commit, Enqueued, NewEvent, OutboxEvent};
use webhooks_core::{EventId, EventType, Priority, Timestamp, TraceContext, WorkerId};

use crate::columns::{long, number_at, time_at, uuid_at};
use crate::error::Result;
use crate::state::State;

/// The sum of the sizes before a row says whether there is still room for it; the first one goes in
/// any case.
const READ: &str = "SELECT id, event_type, data, tenant, idempotency_key, ordering_key, \
    trace_parent, trace_state, priority, max_retries, created_at, due_at FROM ( \
        SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) AS bytes, \
            row_number() OVER (ORDER BY seq) AS n \
        FROM (SELECT * FROM webhook_outbox WHERE refused_at IS NULL ORDER BY seq LIMIT ?1) \
    ) WHERE bytes <= ?2 OR n = 1 ORDER BY seq";
const SET_ASIDE: &str = "UPDATE webhook_outbox SET refused_at = ?3, reason = ?2 \
    WHERE id = ?1 AND refused_at IS NULL";
const TAKE: &str = "DELETE FROM webhook_outbox WHERE id = ?1";

impl State {
    /// Committed events, oldest first. One that cannot be read is set aside and fails no other.
    pub(crate) fn read_outbox(
        &mut self,
        limit: usize,
        bytes: usize,
        now: Timestamp,
    ) -> Result<Vec<OutboxEvent>> {
        let rows = self.all(READ, (long(limit), long(bytes)), |row| {
            Ok((EventId::from_uuid(uuid_at(row, 0)?), outbox_event(row).ok()))
        })?;
        let mut events = Vec::with_capacity(rows.len());
        for (id, event) in rows {
            match event {
                Some(event) => events.push(event),
                // What somebody else wrote there may be none.
                None => {
                    tracing::error!(event_id = %id, "an event of the outbox is set aside");
                    self.set_outbox_aside(id, "it cannot be read", now)?;
                }
            }
        }
        Ok(events)
    }

    /// Takes an event out of what is read, with the reason.
    pub(crate) fn set_outbox_aside(
        &mut self,
        id: EventId,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let id = id.as_uuid().into_bytes();
        Ok(self.execute(SET_ASIDE, (id, reason, now.as_millis()))? > 0)
    }

    /// Takes an event out for good. `false` if another process has.
    pub(crate) fn take_from_outbox(&mut self, id: EventId) -> Result<bool> {
        Ok(self.execute(TAKE, [id.as_uuid().into_bytes()])? > 0)
    }

    /// Stores events of the outbox, each of which leaves it in the same commit.
    pub(crate) fn enqueue_outbox(
        &mut self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Option<Enqueued>>> {
        let worker = self.leasing_worker(events, worker, now)?;
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            answers.push(match self.take_from_outbox(event.event.id)? {
                true => Some(self.enqueue_one(event, worker, now)?),
                false => None,
            });
        }
        Ok(Commit {
            answers,
            definitions: self.definitions()?,
        })
    }
}

fn outbox_event(row: &rusqlite::Row<'_>) -> Result<OutboxEvent> {
    let parent: Option<String> = row.get(6)?;
    let state: Option<String> = row.get(7)?;
    let data: String = row.get(2)?;
    let max_retries: Option<u32> = row.get(9)?;
    Ok(OutboxEvent {
        id: EventId::from_uuid(uuid_at(row, 0)?),
        event_type: EventType::new(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        tenant: row.get(3)?,
        data: Bytes::from(data),
        priority: Priority::from_level(number_at(row, 8)?),
        created_at: time_at(row, 10)?,
        due_at: time_at(row, 11)?,
        max_retries,
        idempotency_key: row.get(4)?,
        ordering_key: row.get(5)?,
        // A trace is of use only as a whole; without one the event goes all the same.
        trace: parent.and_then(|parent| TraceContext::new(&parent, state.as_deref()).ok()),
    })
}

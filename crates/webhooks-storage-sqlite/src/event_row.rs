//! Events: each is kept once, for all of its deliveries, and some time beyond them.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::params;
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::{EventId, EventType, Priority, Timestamp, TraceContext, WebhookEvent};

use crate::columns::{number_at, time_at, uuid_at};
use crate::error::{Result, unknown};
use crate::state::State;

/// An event as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub(crate) seq: i64,
    /// Its payload is empty where it was not read, and where it was erased.
    pub(crate) event: Arc<WebhookEvent>,
    pub(crate) due_at: Timestamp,
    pub(crate) priority: Priority,
    pub(crate) max_retries: u32,
    pub(crate) payload_bytes: usize,
    pub(crate) is_erased: bool,
}

/// The columns of an event without its payload, in the order in which [`EventRow::of`] reads them.
macro_rules! event_columns {
    () => {
        "v.seq, v.id, v.event_type, v.tenant, v.ordering_key, v.trace_parent, v.trace_state, \
         v.created_at, v.due_at, v.priority, v.max_retries, octet_length(v.payload)"
    };
}
pub(crate) use event_columns;

const INSERT: &str = "INSERT INTO webhook_events (seq, id, event_type, tenant, ordering_key, \
    trace_parent, trace_state, created_at, due_at, priority, max_retries, payload) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const FIND: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM webhook_events v WHERE v.id = ?1"
);
const WHOLE: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", v.payload FROM webhook_events v WHERE v.seq = ?1"
);
/// Bare is what no delivery and no fan-out refers to.
const NOTE_BARE: &str = "INSERT OR IGNORE INTO webhook_bare_events (event, created_at) \
    SELECT seq, created_at FROM webhook_events WHERE seq = ?1 \
    AND NOT EXISTS (SELECT 1 FROM webhook_queue WHERE event = ?1) \
    AND NOT EXISTS (SELECT 1 FROM webhook_fan_outs WHERE event = ?1)";
const NOT_BARE: &str = "DELETE FROM webhook_bare_events WHERE event = ?1";

impl EventRow {
    /// Reads the columns from this one on.
    pub(crate) fn of(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let bytes: Option<i64> = row.get(at + 11)?;
        let parent: Option<String> = row.get(at + 5)?;
        let state: Option<String> = row.get(at + 6)?;
        // What somebody else wrote there is no reason not to deliver the event.
        let trace = parent.and_then(|parent| TraceContext::new(&parent, state.as_deref()).ok());
        let event_type = row.get_ref(at + 2)?.as_str()?;
        let event_type = EventType::new(event_type)
            .map_err(|_| crate::columns::wrong(at + 2, rusqlite::types::Type::Text))?;
        Ok(Self {
            seq: row.get(at)?,
            event: Arc::new(WebhookEvent {
                id: EventId::from_uuid(uuid_at(row, at + 1)?),
                event_type,
                tenant: row.get(at + 3)?,
                payload: Bytes::new(),
                created_at: time_at(row, at + 7)?,
                ordering_key: row.get(at + 4)?,
                trace,
            }),
            due_at: time_at(row, at + 8)?,
            priority: Priority::from_level(row.get(at + 9)?),
            max_retries: number_at(row, at + 10)?,
            payload_bytes: usize::try_from(bytes.unwrap_or(0)).unwrap_or(0),
            is_erased: bytes.is_none(),
        })
    }

    /// The event with its payload, which stands in the column behind the others.
    pub(crate) fn whole(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let mut whole = Self::of(row, at)?;
        if let Some(payload) = row.get_ref(at + 12)?.as_blob_or_null()?
            && let Some(event) = Arc::get_mut(&mut whole.event)
        {
            event.payload = Bytes::copy_from_slice(payload);
        }
        Ok(whole)
    }
}

impl State {
    /// The event with this id, without its payload.
    pub(crate) fn event(&self, id: EventId) -> Result<Option<EventRow>> {
        self.find(FIND, [id.as_uuid().as_bytes().as_slice()], |row| {
            EventRow::of(row, 0)
        })
    }

    /// An event that is there, with its payload.
    pub(crate) fn whole_event(&self, seq: i64) -> Result<EventRow> {
        let found = self.find(WHOLE, [seq], |row| EventRow::whole(row, 0))?;
        found.ok_or_else(|| unknown("the event of a delivery"))
    }

    /// Keeps an event, of which there is none with its id. Whoever calls it calls
    /// [`note_bare`](Self::note_bare) if it makes no delivery.
    pub(crate) fn add_event(&mut self, new: &NewEvent) -> Result<i64> {
        let event = &new.event;
        let seq = self.next(|numbers| &mut numbers.event)?;
        self.execute(
            INSERT,
            params![
                seq,
                event.id.as_uuid().as_bytes().as_slice(),
                event.event_type.as_str(),
                event.tenant,
                event.ordering_key,
                event.trace.as_ref().map(TraceContext::parent),
                event.trace.as_ref().and_then(TraceContext::state),
                event.created_at.as_millis(),
                new.due_at.as_millis(),
                new.priority.level(),
                new.max_retries,
                &event.payload[..],
            ],
        )?;
        Ok(seq)
    }

    /// Notes that nothing refers to an event any more, or yet, if that is so.
    pub(crate) fn note_bare(&mut self, event: i64) -> Result<()> {
        self.execute(NOTE_BARE, [event]).map(drop)
    }

    /// Notes that something refers to an event that was there before.
    pub(crate) fn note_not_bare(&mut self, event: i64) -> Result<()> {
        self.execute(NOT_BARE, [event]).map(drop)
    }

    /// Drops bare events that were sent at this time or before. How many there were.
    pub(crate) fn drop_events(&mut self, cutoff: Timestamp, limit: usize) -> Result<usize> {
        const OLD: &str = "SELECT event FROM webhook_bare_events WHERE created_at <= ?1 LIMIT ?2";
        let limit = crate::columns::long(limit);
        let old = self.all(OLD, [cutoff.as_millis(), limit], |row| row.get::<_, i64>(0))?;
        for event in &old {
            self.execute("DELETE FROM webhook_events WHERE seq = ?1", [event])?;
            self.note_not_bare(*event)?;
        }
        Ok(old.len())
    }
}

//! The listing of events.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use webhooks_core::storage::{EventQuery, EventRecord, StateCounts};
use webhooks_core::{EventId, WebhookEvent};

use crate::columns::{long, number_at, state_of};
use crate::error::Result;
use crate::event_row::{EventRow, event_columns};
use crate::state::{all, find};

/// Events that one transaction looks at.
const MOST_SCANNED: usize = 1_000;

macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM webhook_events v ",
            $rest
        )
    };
}
const DOWN: &str = select_events!("WHERE v.id < ?1 AND v.id > ?2 ORDER BY v.id DESC LIMIT ?3");
const UP: &str = select_events!("WHERE v.id < ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3");
const BY_ID: &str = select_events!("WHERE v.id = ?1");
const STATES: &str = "SELECT state, count(*) FROM webhook_queue WHERE event = ?1 GROUP BY state";
const PAYLOAD: &str = "SELECT payload FROM webhook_events WHERE seq = ?1";

/// Events that match among a bounded number of them, at most `limit`; and where to go on, if there is
/// more to look at.
pub(crate) fn list_events(
    db: &Connection,
    query: &EventQuery,
    limit: usize,
) -> Result<(Vec<EventRecord>, Option<EventId>)> {
    let (rows, is_all) = candidates(db, query)?;
    let (mut records, mut last) = (Vec::new(), None);
    for row in rows {
        if records.len() == limit {
            return Ok((records, last));
        }
        last = Some(row.event.id);
        if query.matches(&row.event) {
            records.push(record(db, row, query.with_payload)?);
        }
    }
    Ok((records, last.filter(|_| !is_all)))
}

/// Some of the events that a query may match, in the order of its listing, and whether these were all.
fn candidates(db: &Connection, query: &EventQuery) -> Result<(Vec<EventRow>, bool)> {
    let is_up = query.after.is_some();
    let bytes = |id: EventId| id.as_uuid().into_bytes().to_vec();
    if let Some(ids) = &query.ids {
        let mut ids = ids.clone();
        ids.retain(|id| query.before.is_none_or(|before| *id < before));
        ids.retain(|id| query.after.is_none_or(|after| *id > after));
        ids.sort_unstable_by(|a, b| if is_up { a.cmp(b) } else { b.cmp(a) });
        ids.dedup();
        let mut found = Vec::new();
        for id in ids {
            found.extend(find(db, BY_ID, [bytes(id)], |row| EventRow::of(row, 0))?);
        }
        return Ok((found, true));
    }
    let before = query.before.map_or_else(|| vec![0xff; 17], bytes);
    let after = query.after.map(bytes).unwrap_or_default();
    let sql = if is_up { UP } else { DOWN };
    let params = (before, after, long(MOST_SCANNED));
    let found = all(db, sql, params, |row| EventRow::of(row, 0))?;
    let is_all = found.len() < MOST_SCANNED;
    Ok((found, is_all))
}

fn record(db: &Connection, row: EventRow, with_payload: bool) -> Result<EventRecord> {
    let mut event = row.event;
    if with_payload && !row.is_erased {
        let payload: Option<Option<Vec<u8>>> = find(db, PAYLOAD, [row.seq], |row| row.get(0))?;
        event = Arc::new(WebhookEvent {
            payload: Bytes::from(payload.flatten().unwrap_or_default()),
            ..(*event).clone()
        });
    }
    let mut record = EventRecord::new(event);
    record.priority = row.priority;
    record.due_at = row.due_at;
    record.max_retries = row.max_retries;
    record.payload_bytes = row.payload_bytes;
    record.payload_erased = row.is_erased;
    let mut deliveries = StateCounts::default();
    let states = all(db, STATES, [row.seq], |row| {
        Ok((state_of(row, 0)?, number_at(row, 1)?))
    })?;
    for (state, count) in states {
        deliveries.add(state, count);
    }
    record.deliveries = deliveries;
    Ok(record)
}

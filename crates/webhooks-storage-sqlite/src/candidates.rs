//! Where what a query may match is found: short ranges of the index that fits it best, newest first.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use webhooks_core::storage::{DeliveryQuery, DeliveryRecord};
use webhooks_core::{DeliveryId, DeliveryState, WorkerId};

use crate::claim::delivery;
use crate::columns::long;
use crate::error::Result;
use crate::event_row::{EventRow, event_columns};
use crate::row::{Row, select_rows};
use crate::state::{all, find};

/// A delivery of a listing, before it is known whether it matches. Its payload is not read.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) row: Row,
    pub(crate) record: DeliveryRecord,
    /// Nothing is left of what it would send.
    pub(crate) is_erased: bool,
}

macro_rules! select_candidates {
    ($index:literal, $rest:literal) => {
        concat!(
            select_rows!(", ", event_columns!(), ", e.id, w.id FROM webhook_queue q "),
            $index,
            " CROSS JOIN webhook_events v ON v.seq = q.event \
             CROSS JOIN webhook_endpoints e ON e.seq = q.endpoint \
             LEFT JOIN webhook_workers w ON w.seq = q.worker ",
            $rest
        )
    };
}
const BY_ID: &str = select_candidates!("", "WHERE q.id = ?1 AND q.id < ?2 LIMIT ?3");
const OF_EVENT: &str = select_candidates!(
    "INDEXED BY idx_webhook_queue_event",
    "WHERE q.event = ?1 AND q.id < ?2 ORDER BY q.id DESC LIMIT ?3"
);
const OF_ENDPOINT: &str = select_candidates!(
    "INDEXED BY idx_webhook_queue_endpoint",
    "WHERE q.endpoint = ?1 AND q.id < ?2 ORDER BY q.id DESC LIMIT ?3"
);
const DEAD: &str = select_candidates!(
    "INDEXED BY idx_webhook_queue_dead",
    "WHERE q.state = 5 AND q.id < ?1 ORDER BY q.id DESC LIMIT ?2"
);
const ANY: &str = select_candidates!("", "WHERE q.id < ?1 ORDER BY q.id DESC LIMIT ?2");
const EVENT_SEQ: &str = "SELECT seq FROM webhook_events WHERE id = ?1";
const ENDPOINT_SEQ: &str = "SELECT seq FROM webhook_endpoints WHERE id = ?1";
/// The columns of the event, and what follows them.
const EVENT_AT: usize = 24;
const BEHIND: usize = EVENT_AT + 12;
/// Rows that are read of one of many endpoints at a time.
const OF_EACH: usize = 20;

impl Candidate {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let found = Row::of(row)?;
        let event = EventRow::of(row, EVENT_AT)?;
        let worker = row
            .get_ref(BEHIND + 1)?
            .as_str_or_null()?
            .map(WorkerId::named);
        let worker = worker.filter(|_| found.state == DeliveryState::Leased);
        let delivery = delivery(&found, event.event, row.get(BEHIND)?, worker);
        let mut record = DeliveryRecord::new(delivery, found.state, found.updated_at);
        record.dead_reason = found.dead_reason;
        record.cancel_reason = found.cancel_reason;
        record.last_status = found.last_status;
        record.last_failure = found.last_failure;
        Ok(Self {
            is_erased: found.erased || event.is_erased,
            row: found,
            record,
        })
    }
}

/// Some candidates of a query behind its `before`, newest first, and whether these were all. Whatever
/// the query matches is among them and those that follow.
pub(crate) fn candidates(
    db: &Connection,
    query: &DeliveryQuery,
    most: usize,
) -> Result<(Vec<Candidate>, bool)> {
    if let Some(ids) = &query.ids {
        return named(db, ids, query.before);
    }
    if let Some(event) = query.event_id {
        let id = event.as_uuid().into_bytes();
        return match find(db, EVENT_SEQ, [id.as_slice()], |row| row.get(0))? {
            Some(seq) => range(db, OF_EVENT, Some(seq), query.before, most),
            None => Ok((Vec::new(), true)),
        };
    }
    // Dead letters are looked through most, and are few among many.
    let is_of_dead =
        query.states.as_slice() == [DeliveryState::Dead] || !query.dead_reasons.is_empty();
    match &query.endpoint_ids {
        Some(ids) if !is_of_dead || ids.len() == 1 => of_endpoints(db, ids, query.before, most),
        _ if is_of_dead => range(db, DEAD, None, query.before, most),
        _ => range(db, ANY, None, query.before, most),
    }
}

/// A range of one index.
fn range(
    db: &Connection,
    sql: &str,
    of: Option<i64>,
    before: Option<DeliveryId>,
    most: usize,
) -> Result<(Vec<Candidate>, bool)> {
    let of = of.map(Value::Integer);
    let params = of
        .into_iter()
        .chain([Value::Blob(bound(before)), Value::Integer(long(most))]);
    let found = all(db, sql, params_from_iter(params), Candidate::of)?;
    let is_all = found.len() < most;
    Ok((found, is_all))
}

/// All deliveries with these ids, which are no more than a page has and may be in any order and twice.
fn named(
    db: &Connection,
    ids: &[DeliveryId],
    before: Option<DeliveryId>,
) -> Result<(Vec<Candidate>, bool)> {
    let mut ids: Vec<_> = ids
        .iter()
        .filter(|id| before.is_none_or(|b| **id < b))
        .collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let mut found = Vec::new();
    for id in ids {
        let params = (id.as_uuid().into_bytes(), bound(before), 1);
        found.extend(find(db, BY_ID, params, Candidate::of)?);
    }
    Ok((found, true))
}

/// Deliveries of several endpoints, merged: those down to the id that every one of them was read to.
fn of_endpoints(
    db: &Connection,
    ids: &[std::sync::Arc<str>],
    before: Option<DeliveryId>,
    most: usize,
) -> Result<(Vec<Candidate>, bool)> {
    let mut ids: Vec<_> = ids.iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let each = (most / ids.len().max(1)).max(OF_EACH).min(most);
    let (mut found, mut horizon, mut is_all) = (Vec::new(), None, true);
    for id in ids {
        let Some(seq) = find(db, ENDPOINT_SEQ, [&**id], |row| row.get(0))? else {
            continue;
        };
        let (rows, is_end) = range(db, OF_ENDPOINT, Some(seq), before, each)?;
        if let Some(last) = rows.last().filter(|_| !is_end) {
            horizon = horizon.max(Some(last.row.id));
            is_all = false;
        }
        found.extend(rows);
    }
    found.retain(|candidate| horizon.is_none_or(|horizon| candidate.row.id >= horizon));
    found.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.row.id));
    Ok((found, is_all))
}

/// What all ids before this one are less than. Without one, more bytes than an id has.
fn bound(before: Option<DeliveryId>) -> Vec<u8> {
    before.map_or_else(|| vec![0xff; 17], |id| id.as_uuid().into_bytes().to_vec())
}

//! Listings. Each transaction looks at a bounded number of rows and says where to go on.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use webhooks_core::storage::{DeliveryQuery, DeliveryRecord};
use webhooks_core::{DeliveryId, WebhookEvent};

use crate::attempts::attempts_of;
use crate::candidates::{Candidate, candidates};
use crate::error::Result;
use crate::state::find;

/// Rows that one transaction looks at before it ends: some milliseconds of them.
pub(crate) const MOST_SCANNED: usize = 2_000;
/// Rows that are read at a time.
const PIECE: usize = 1_000;

const PAYLOAD: &str = "SELECT payload FROM webhook_events WHERE seq = ?1";

/// Up to `limit` rows that match, newest first, among a bounded number of rows; and the last of these,
/// if there may be more.
///
/// The bound is on what was looked at, not on what was found: a filter that matches nothing would
/// otherwise hold a transaction open over a million rows.
pub(crate) fn find_rows(
    db: &Connection,
    query: &DeliveryQuery,
    limit: usize,
    also: impl Fn(&Candidate) -> Result<bool>,
) -> Result<(Vec<Candidate>, Option<DeliveryId>)> {
    let mut rest = query.clone();
    let (mut found, mut left) = (Vec::new(), MOST_SCANNED);
    if limit == 0 {
        return Ok((found, query.before));
    }
    loop {
        // What is read is decoded, so that a short page reads little more than it shows.
        let piece = PIECE.min(left).min(limit.saturating_mul(2).max(20));
        let (some, is_all) = candidates(db, &rest, piece)?;
        let (count, mut looked) = (some.len(), 0);
        for candidate in some {
            looked += 1;
            rest.before = Some(candidate.row.id);
            if query.matches(&candidate.record) && also(&candidate)? {
                found.push(candidate);
                if found.len() == limit {
                    // The very last one may have been it; the next page is then empty.
                    let more = looked < count || !is_all;
                    return Ok((found, rest.before.filter(|_| more)));
                }
            }
        }
        left = left.saturating_sub(count);
        if is_all {
            return Ok((found, None));
        }
        if left == 0 {
            return Ok((found, rest.before));
        }
    }
}

/// Deliveries that match, with their payloads, among a bounded number of rows; and where to go on, if
/// there is more to look at.
pub(crate) fn list(
    db: &Connection,
    query: &DeliveryQuery,
    limit: usize,
) -> Result<(Vec<DeliveryRecord>, Option<DeliveryId>)> {
    let (found, next) = find_rows(db, query, limit, |_| Ok(true))?;
    let mut events = HashMap::new();
    let mut records = Vec::with_capacity(found.len());
    for Candidate {
        row,
        mut record,
        is_erased,
    } in found
    {
        if !is_erased {
            record.delivery.event = match events.get(&row.event) {
                Some(event) => Arc::clone(event),
                None => {
                    let event = with_payload(db, row.event, &record.delivery.event)?;
                    events.insert(row.event, Arc::clone(&event));
                    event
                }
            };
        }
        if query.with_attempts {
            record.attempts = attempts_of(db, row.seq, row.id)?;
        }
        records.push(record);
    }
    Ok((records, next))
}

fn with_payload(db: &Connection, seq: i64, event: &WebhookEvent) -> Result<Arc<WebhookEvent>> {
    let payload: Option<Option<Vec<u8>>> = find(db, PAYLOAD, [seq], |row| row.get(0))?;
    Ok(Arc::new(WebhookEvent {
        payload: Bytes::from(payload.flatten().unwrap_or_default()),
        ..event.clone()
    }))
}

//! The log of attempts: one line per attempt that was started.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};
use webhooks_core::{AttemptRecord, DeliveryId, FailureKind, Timestamp};

use crate::columns::{long, named_at, number_at, time_at, wrong};
use crate::error::{Result, unknown};
use crate::state::{State, all};

const ADD: &str = "INSERT INTO webhook_attempts (delivery, number, started_at, duration_us, status, \
    failure, ambiguous, headers, response) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const IS_LOGGED: &str = "SELECT EXISTS (SELECT 1 FROM webhook_attempts \
    WHERE delivery = ?1 AND number = ?2 AND started_at = ?3)";
const OF_DELIVERY: &str = "SELECT number, started_at, duration_us, status, failure, ambiguous, \
    headers, response FROM webhook_attempts WHERE delivery = ?1 ORDER BY seq";
const OLDEST: &str = "SELECT seq, started_at FROM webhook_attempts ORDER BY seq LIMIT ?1";

impl State {
    /// Adds a line. `is_late` marks the attempt of a settlement whose lease is lost: its delivery may
    /// have been sent by another worker too.
    pub(crate) fn log_attempt(
        &mut self,
        delivery: i64,
        attempt: &AttemptRecord,
        is_late: bool,
    ) -> Result<()> {
        let started_at = attempt.started_at.as_millis();
        // A call that is sent twice finds its own line.
        if is_late && self.value(IS_LOGGED, (delivery, attempt.number, started_at))? {
            return Ok(());
        }
        let headers = match attempt.response_headers.as_slice() {
            [] => None,
            headers => Some(serde_json::to_string(headers).map_err(|_| unknown("a header"))?),
        };
        let response = Some(&attempt.response[..]).filter(|response| !response.is_empty());
        self.execute(
            ADD,
            params![
                delivery,
                attempt.number,
                started_at,
                long(attempt.duration.as_micros()),
                attempt.status,
                attempt.failure.map(FailureKind::as_str),
                attempt.ambiguous || is_late,
                headers,
                response,
            ],
        )
        .map(drop)
    }

    /// Drops lines from the front. They stand in the order in which they were settled, which is
    /// nearly that of their start: a long request delays what is behind it by no more than its
    /// timeout.
    pub(crate) fn drop_attempts(&mut self, cutoff: Timestamp, limit: usize) -> Result<usize> {
        let oldest = self.all(OLDEST, [long(limit)], |row| {
            Ok((row.get::<_, i64>(0)?, time_at(row, 1)?))
        })?;
        let old: Vec<_> = oldest
            .into_iter()
            .take_while(|(_, at)| *at < cutoff)
            .collect();
        if let Some((last, _)) = old.last() {
            self.execute("DELETE FROM webhook_attempts WHERE seq <= ?1", [last])?;
        }
        Ok(old.len())
    }
}

/// The attempts of a delivery, oldest first.
pub(crate) fn attempts_of(
    db: &Connection,
    delivery: i64,
    id: DeliveryId,
) -> Result<Vec<AttemptRecord>> {
    all(db, OF_DELIVERY, [delivery], |row| {
        let mut attempt = AttemptRecord::new(id, number_at(row, 0)?, time_at(row, 1)?);
        attempt.duration = Duration::from_micros(number_at(row, 2)?);
        attempt.status = row.get(3)?;
        attempt.failure = named_at(row, 4)?;
        attempt.ambiguous = row.get(5)?;
        if let Some(headers) = row.get_ref(6)?.as_str_or_null()? {
            let headers = serde_json::from_str(headers);
            attempt.response_headers =
                headers.map_err(|_| wrong(6, rusqlite::types::Type::Text))?;
        }
        if let Some(response) = row.get_ref(7)?.as_blob_or_null()? {
            attempt.response = Bytes::copy_from_slice(response);
        }
        Ok(attempt)
    })
}

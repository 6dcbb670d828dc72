//! Numbers over time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use webhooks_core::Timestamp;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::storage::{StatBucket, StatNumbers, StatQuery, StatResolution};

use crate::columns::{long, time_at, wrong};
use crate::error::{Result, unknown};
use crate::state::{State, all};

const FIND: &str =
    "SELECT numbers FROM webhook_stats WHERE resolution = ?1 AND at = ?2 AND endpoint = ?3";
const KEEP: &str = "INSERT OR REPLACE INTO webhook_stats (resolution, at, endpoint, numbers) \
    VALUES (?1, ?2, ?3, ?4)";
const RANGE: &str = "SELECT at, endpoint, numbers FROM webhook_stats \
    WHERE resolution = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, endpoint";
const DROP: &str = "DELETE FROM webhook_stats WHERE (resolution, at, endpoint) IN \
    (SELECT resolution, at, endpoint FROM webhook_stats WHERE resolution = ?1 AND at <= ?2 LIMIT ?3)";

/// The number of a resolution, which is part of the schema.
const fn code(resolution: StatResolution) -> i64 {
    match resolution {
        StatResolution::Minute => 0,
        StatResolution::Hour => 1,
    }
}

fn numbers_at(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<StatNumbers> {
    let list: Vec<u64> = serde_json::from_str(row.get_ref(index)?.as_str()?)
        .map_err(|_| wrong(index, rusqlite::types::Type::Text))?;
    Ok(StatNumbers::from_list(&list))
}

impl State {
    /// Adds numbers to their minute and their hour.
    pub(crate) fn add_stats(&mut self, deltas: &[StatDelta]) -> Result<()> {
        for delta in deltas.iter().filter(|delta| !delta.numbers.is_empty()) {
            for resolution in StatResolution::ALL {
                let at = resolution.begin(delta.at).as_millis();
                let bucket = (code(*resolution), at, &*delta.endpoint_id);
                let mut statement = self.db.prepare_cached(FIND)?;
                let known = statement
                    .query_row(bucket, |row| numbers_at(row, 0))
                    .optional()?;
                drop(statement);
                let mut numbers = known.unwrap_or_default();
                numbers.add(&delta.numbers);
                let list = serde_json::to_string(&numbers.to_list());
                let list = list.map_err(|_| unknown("a number over time"))?;
                self.execute(KEEP, (bucket.0, bucket.1, bucket.2, list))?;
            }
        }
        Ok(())
    }

    /// Drops what is older than it is kept.
    pub(crate) fn drop_stats(&mut self, now: Timestamp, limit: usize) -> Result<usize> {
        let mut dropped = 0;
        for resolution in StatResolution::ALL {
            let cutoff = now.before(resolution.kept()).as_millis();
            dropped += self.execute(DROP, (code(*resolution), cutoff, long(limit - dropped)))?;
        }
        Ok(dropped)
    }
}

/// What happened in the buckets that are asked for, by time and endpoint.
pub(crate) fn stats(db: &Connection, query: &StatQuery) -> Result<Vec<StatBucket>> {
    let wanted: Option<HashSet<&str>> = query
        .endpoint_ids
        .as_ref()
        .map(|ids| ids.iter().map(|id| &**id).collect());
    let range = (
        code(query.resolution),
        query.from.as_millis(),
        query.to.as_millis(),
    );
    let rows = all(db, RANGE, range, |row| {
        Ok((
            time_at(row, 0)?,
            row.get::<_, Arc<str>>(1)?,
            numbers_at(row, 2)?,
        ))
    })?;
    let mut found = BTreeMap::<_, StatNumbers>::new();
    for (at, id, numbers) in rows {
        if wanted.as_ref().is_none_or(|wanted| wanted.contains(&*id)) {
            let endpoint_id = query.per_endpoint.then_some(id);
            found.entry((at, endpoint_id)).or_default().add(&numbers);
        }
    }
    let buckets = found.into_iter();
    Ok(buckets
        .map(|((at, id), numbers)| StatBucket::new(at, id, numbers))
        .collect())
}

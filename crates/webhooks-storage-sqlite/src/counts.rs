//! Counts, which are kept along with every change and only read here.

use rusqlite::Connection;
use webhooks_core::Timestamp;
use webhooks_core::storage::Counts;

use crate::error::Result;
use crate::state::{State, find};

/// What no passing of time lets go is suspended, so that neither holds nor limits count. A tombstone's
/// lane is not open either.
macro_rules! select_counts {
    ($rest:expr) => {
        concat!(
            "SELECT sum(enqueued), sum(delivered), sum(dead), sum(cancelled), sum(purged), \
             sum(blocked), sum(ready), sum(scheduled), sum(leased), \
             sum(CASE WHEN open THEN 0 ELSE blocked + ready + scheduled END) FROM webhook_lanes ",
            $rest
        )
    };
}
const OF_ALL: &str = select_counts!("");
const OF_ONE: &str =
    select_counts!("WHERE endpoint = (SELECT seq FROM webhook_endpoints WHERE id = ?1)");
const OLDEST: &str = "SELECT min((SELECT due_at FROM webhook_queue q \
    WHERE q.endpoint = l.endpoint AND q.state = 1 ORDER BY q.sort_key, q.place LIMIT 1)) \
    FROM webhook_lanes l INDEXED BY idx_webhook_lanes_claimable WHERE l.open = 1 AND l.ready > 0";

/// The counts of one endpoint, or of all.
pub(crate) fn counts(db: &Connection, endpoint_id: Option<&str>) -> Result<Counts> {
    let found = match endpoint_id {
        Some(id) => find(db, OF_ONE, [id], counts_of)?,
        None => find(db, OF_ALL, [], counts_of)?,
    };
    Ok(found.unwrap_or_default())
}

fn counts_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    let fields = [
        &mut counts.enqueued,
        &mut counts.delivered,
        &mut counts.dead,
        &mut counts.cancelled,
        &mut counts.purged,
        &mut counts.blocked,
        &mut counts.ready,
        &mut counts.scheduled,
        &mut counts.leased,
        &mut counts.suspended,
    ];
    for (index, field) in fields.into_iter().enumerate() {
        // Of no row at all there is no sum.
        let count: Option<i64> = row.get(index)?;
        *field = u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    }
    Ok(counts)
}

impl State {
    /// Since when the longest waiting has been due of those that are first in the queues of open
    /// endpoints.
    pub(crate) fn oldest_ready(&mut self, now: Timestamp) -> Result<Option<Timestamp>> {
        // What has become due is ready, noticed or not.
        self.promote(now)?;
        self.write_counts()?;
        let oldest: Option<i64> = self.value(OLDEST, [])?;
        Ok(oldest.map(Timestamp::from_millis))
    }
}

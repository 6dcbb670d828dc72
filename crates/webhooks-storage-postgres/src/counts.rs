use webhooks_core::Result;
use webhooks_core::storage::Counts;

use crate::columns::get_u64;
use crate::database::Database;

const OF_ONE: &str = include_str!("sql/counts.sql");

impl Database {
    pub(crate) async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        const WHAT: &str = "count deliveries";
        let rows = match endpoint_id {
            Some(id) => self.query(WHAT, OF_ONE, &[&id]).await?,
            None => self.query(WHAT, &of_all(), &[]).await?,
        };
        let mut counts = Counts::default();
        if let Some(row) = rows.first() {
            counts.delivered = get_u64(row, "delivered")?;
            counts.dead = get_u64(row, "dead")?;
            counts.cancelled = get_u64(row, "cancelled")?;
            counts.purged = get_u64(row, "purged")?;
            counts.blocked = get_u64(row, "blocked")?;
            counts.ready = get_u64(row, "ready")?;
            counts.scheduled = get_u64(row, "scheduled")?;
            counts.leased = get_u64(row, "leased")?;
            counts.suspended = get_u64(row, "suspended")?;
        }
        // What was made either ended or still waits, in the one snapshot that was read.
        let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
        counts.enqueued = ended + counts.waiting();
        Ok(counts)
    }
}

/// The same without the endpoint's id.
fn of_all() -> String {
    OF_ONE
        .replace(" AND endpoint_id = $1::text", "")
        .replace(" AND endpoint_id = $1", "")
        .replace(" WHERE endpoint_id = $1", "")
}

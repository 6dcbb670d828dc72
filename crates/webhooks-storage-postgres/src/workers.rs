use webhooks_core::storage::WorkerRecord;
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::columns::{get, get_time, get_u64};
use crate::database::Database;

const WORKERS: &str = include_str!("sql/workers.sql");
const OLDEST_READY: &str = include_str!("sql/oldest_ready.sql");

impl Database {
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let rows = self.query("list workers", WORKERS, &[]).await?;
        let workers = rows.iter().map(|row| {
            let id = WorkerId::named(get::<&str>(row, "id")?);
            Ok(WorkerRecord::new(
                id,
                get_time(row, "seen_at")?,
                get_u64(row, "leased")?,
            ))
        });
        workers.collect()
    }

    pub(crate) async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let now = crate::columns::time(now);
        let what = "look at what is ready";
        let rows = self.query(what, OLDEST_READY, &[&now]).await?;
        let oldest = rows
            .first()
            .map(|row| get::<Option<std::time::SystemTime>>(row, "at"));
        Ok(oldest.transpose()?.flatten().map(Into::into))
    }
}

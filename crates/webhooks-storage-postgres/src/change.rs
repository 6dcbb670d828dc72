use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{Result, Timestamp};

use crate::columns::{get, long, time};
use crate::database::Database;
use crate::error::{commit_error, storage_error};
use crate::filter::{Filter, Table};

const REPLAY: &str = include_str!("sql/replay.sql");
const CANCEL: &str = include_str!("sql/cancel.sql");
const PURGE_DEAD: &str = include_str!("sql/purge_dead.sql");
const PURGE_ARCHIVE: &str = include_str!("sql/purge_archive.sql");
const ERASE_QUEUE: &str = include_str!("sql/erase_queue.sql");
const ERASE_ARCHIVE: &str = include_str!("sql/erase_archive.sql");
/// What becomes of the rows that `gone` has taken out of the queue.
const CANCELLED: &str = include_str!("sql/archive_cancelled.sql");

/// The statement, whole: `now` is its parameter of the time.
pub(crate) fn with_cancelled(sql: &str, now: &str) -> String {
    let sql = sql.replace("{cancelled}", CANCELLED.trim_end());
    sql.replace("{now}", now)
}

/// The statements of a change: what each of them is about, and to which rows it applies.
fn steps(to: Change) -> &'static [(Table, &'static str, &'static str)] {
    const PENDING: &str = "q.status = 'pending'";
    match to {
        Change::Replay => &[(
            Table::Queue,
            "q.status = 'dead' AND q.payload IS NOT NULL AND EXISTS (SELECT FROM \
             @.webhook_endpoints e WHERE e.id = q.endpoint_id AND e.deleted_at IS NULL)",
            REPLAY,
        )],
        Change::Cancel => &[(Table::Queue, PENDING, CANCEL)],
        Change::Purge => &[
            (Table::Queue, "q.status = 'dead'", PURGE_DEAD),
            (Table::Archive, "true", PURGE_ARCHIVE),
        ],
        Change::Erase => &[
            (Table::Queue, "q.payload IS NOT NULL", ERASE_QUEUE),
            (Table::Archive, "q.payload IS NOT NULL", ERASE_ARCHIVE),
        ],
    }
}

impl Database {
    /// Changes what matches, in one transaction.
    pub(crate) async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        self.repeat(|| self.change_once(query, to, limit, now))
            .await
    }

    async fn change_once(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        const WHAT: &str = "change deliveries";
        let mut connection = self.connection().await?;
        let error = |error| storage_error(WHAT, &error);
        let transaction = self.begin(&mut connection, WHAT).await?;
        let mut left = long(limit);
        for (table, applies, sql) in steps(to) {
            let mut filter = Filter::new(query);
            let Some(conditions) = filter.of(*table) else {
                continue;
            };
            let most = filter.parameter(left);
            let now = filter.parameter(time(now));
            let name = match table {
                Table::Queue => "webhook_queue",
                Table::Archive => "webhook_archive",
            };
            let picked = format!(
                "SELECT q.id, q.status FROM @.{name} q WHERE {conditions} AND {applies} \
                 ORDER BY {} DESC LIMIT {most}::bigint FOR UPDATE OF q",
                filter.order
            );
            let sql = with_cancelled(&sql.replace("{picked}", &picked), &now);
            let sql = self.sql(&sql);
            let statement = transaction.prepare_cached(&sql).await.map_err(error)?;
            let rows = transaction
                .query(&statement, &filter.parameters())
                .await
                .map_err(error)?;
            left -= rows
                .first()
                .map_or(Ok(0), |row| get::<i64>(row, "changed"))?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(limit.saturating_sub(usize::try_from(left).unwrap_or(0)))
    }
}

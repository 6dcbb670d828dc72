//! Changes of many deliveries by hand: first which ones, and then, under their locks, those that
//! still match.

use uuid::Uuid;
use webhooks_core::storage::{Change, Changed, DeliveryQuery};
use webhooks_core::{DeliveryId, Priority, Result, Timestamp};

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
             @.webhook_endpoints e WHERE e.id = q.endpoint_id AND e.deleted_at IS NULL \
             AND e.incarnation = q.incarnation)",
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

/// The places of what is replayed at `now`, by its priority.
fn sort_keys(now: Timestamp) -> Vec<i64> {
    let levels = Priority::Low.level()..=Priority::Critical.level();
    levels
        .map(|level| Priority::from_level(level).sort_key(now))
        .collect()
}

impl Database {
    /// Changes the first `limit` of what matches, in one transaction.
    pub(crate) async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        const WHAT: &str = "change deliveries";
        // First: what a part stores after this, it does not store at all.
        self.end_fan_outs(query, to).await?;
        let mut filter = Filter::new(query);
        let most = filter.parameter(long(limit));
        let branches: Vec<_> = steps(to)
            .iter()
            .filter_map(|(table, applies, _)| {
                let (name, conditions) = (table.name(), filter.of(*table)?);
                let order = filter.order;
                Some(format!(
                    "(SELECT q.id FROM @.{name} q WHERE {conditions} AND {applies} \
                     ORDER BY {order} DESC LIMIT {most}::bigint)"
                ))
            })
            .collect();
        if branches.is_empty() || limit == 0 {
            return Ok(Changed::default());
        }
        let pick = format!(
            "SELECT id FROM ({}) q ORDER BY id DESC LIMIT {most}::bigint",
            branches.join(" UNION ALL ")
        );
        let picked = self.query(WHAT, &pick, &filter.parameters()).await?;
        let picked: Vec<Uuid> = picked
            .iter()
            .map(|row| get(row, "id"))
            .collect::<Result<_>>()?;
        let last = picked.last().filter(|_| picked.len() == limit);
        let next = last.map(|id| DeliveryId::from_uuid(*id));
        let change = || self.change_picked(query, to, &picked, now);
        let changed = self.repeat(change).await?;
        Ok(Changed::new(changed, next))
    }

    /// Changes those of these that still match. The queue first: what leaves it meanwhile is then
    /// found in the archive.
    async fn change_picked(
        &self,
        query: &DeliveryQuery,
        to: Change,
        picked: &[Uuid],
        now: Timestamp,
    ) -> Result<usize> {
        const WHAT: &str = "change deliveries";
        let mut connection = self.connection().await?;
        let error = |error| storage_error(WHAT, &error);
        let transaction = self.begin(&mut connection, WHAT).await?;
        let mut changed = 0;
        for (table, applies, sql) in steps(to) {
            let mut filter = Filter::new(query);
            let Some(conditions) = filter.of(*table) else {
                continue;
            };
            let ids = filter.parameter(picked.to_vec());
            let at = filter.parameter(time(now));
            let mut sql = with_cancelled(sql, &at);
            if to == Change::Replay {
                sql = sql.replace("{sort_keys}", &filter.parameter(sort_keys(now)));
            }
            let picked = format!(
                "SELECT q.id, q.status FROM @.{} q WHERE q.id = ANY ({ids}::uuid[]) \
                 AND {conditions} AND {applies} ORDER BY q.id DESC FOR UPDATE OF q",
                table.name()
            );
            let sql = self.sql(&sql.replace("{picked}", &picked));
            let statement = transaction.prepare_cached(&sql).await.map_err(error)?;
            let rows = transaction
                .query(&statement, &filter.parameters())
                .await
                .map_err(error)?;
            changed += rows
                .first()
                .map_or(Ok(0), |row| get::<i64>(row, "changed"))?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(usize::try_from(changed).unwrap_or(0))
    }
}

//! Changes of many deliveries by hand: first which ones, and then, under their locks, those that
//! still match.

use deadpool_postgres::Transaction;
use uuid::Uuid;
use webhooks_core::storage::{Change, Changed, DeliveryQuery};
use webhooks_core::{DeliveryId, Priority, Result, Timestamp};

use crate::columns::{get, long, time};
use crate::database::{Database, now_is};
use crate::error::{commit_error, storage_error};
use crate::filter::{Filter, Table};
use crate::settle::LOCK_ORDERS;

const WHAT: &str = "change deliveries";
const REPLAY: &str = include_str!("sql/replay.sql");
const RESEND_ARCHIVE: &str = include_str!("sql/resend_archive.sql");
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

/// Its endpoint is there, in the same incarnation, and it has something to send.
const GOES_AGAIN: &str = "NOT q.is_erased AND EXISTS (SELECT FROM @.webhook_endpoints p \
    WHERE p.id = q.endpoint_id AND p.deleted_at IS NULL AND p.incarnation = q.incarnation)";
/// Of a delivery with an order that is sent again: somebody is before it, unless it is what holds.
const HAS_LINE: &str = "EXISTS (SELECT FROM @.webhook_queue o WHERE o.in_line \
    AND o.endpoint_id = q.endpoint_id AND o.order_key = q.order_key \
    AND o.incarnation = q.incarnation)";

/// The statements of a change: what each of them is about, and to which rows it applies.
fn steps(to: Change) -> &'static [(Table, &'static str, &'static str)] {
    const PENDING: &str = "q.status IN ('pending', 'blocked')";
    match to {
        Change::Replay => &[(Table::Queue, "q.status = 'dead'", REPLAY)],
        Change::Resend => &[
            (Table::Queue, "q.status = 'dead'", REPLAY),
            (Table::Archive, "true", RESEND_ARCHIVE),
        ],
        Change::Cancel => &[(Table::Queue, PENDING, CANCEL)],
        Change::Purge => &[
            (Table::Queue, "q.status = 'dead'", PURGE_DEAD),
            (Table::Archive, "true", PURGE_ARCHIVE),
        ],
        Change::Erase => &[
            (Table::Queue, "NOT q.is_erased", ERASE_QUEUE),
            (Table::Archive, "NOT q.is_erased", ERASE_ARCHIVE),
        ],
    }
}

/// Whether the change sends deliveries again.
const fn sends_again(to: Change) -> bool {
    matches!(to, Change::Replay | Change::Resend)
}

/// To which rows a statement applies.
fn applies(to: Change, applies: &str) -> String {
    match sends_again(to) {
        true => format!("{applies} AND {GOES_AGAIN}"),
        false => applies.into(),
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
        // First: what a part stores after this, it does not store at all.
        self.end_fan_outs(query, to).await?;
        let picked = match limit {
            0 => return Ok(Changed::default()),
            _ => self.pick(query, to, limit).await?,
        };
        let ids: Vec<Uuid> = picked.iter().map(|picked| picked.id).collect();
        let change = || self.change_picked(query, to, &picked, now);
        let changed = match picked.is_empty() {
            true => 0,
            false => self.repeat(change).await?,
        };
        if to == Change::Erase && changed > 0 {
            self.erase_empty_events(&ids).await?;
        }
        let last = ids.last().filter(|_| ids.len() == limit);
        let next = last.map(|id| DeliveryId::from_uuid(*id));
        if to == Change::Erase && next.is_none() {
            // What is left: events without deliveries, and what has changed its state meanwhile.
            self.erase_events(query, now).await?;
        }
        Ok(Changed::new(changed, next))
    }

    /// What matches, newest first.
    async fn pick(&self, query: &DeliveryQuery, to: Change, limit: usize) -> Result<Vec<Picked>> {
        let mut filter = Filter::new(query);
        let most = filter.parameter(long(limit));
        let mut branches = Vec::new();
        for (table, which, _) in steps(to) {
            let (which, order, name) = (applies(to, which), filter.order, table.name());
            branches.extend(filter.ways(*table).iter().map(|way| {
                format!(
                    "(SELECT q.id, q.order_key IS NOT NULL AS is_ordered FROM @.{name} q \
                     JOIN @.webhook_events e ON e.id = q.event_id WHERE {way} AND {which} \
                     ORDER BY {order} DESC LIMIT {most}::bigint)"
                )
            }));
        }
        if branches.is_empty() {
            return Ok(Vec::new());
        }
        let pick = format!(
            "SELECT id, is_ordered FROM ({}) q ORDER BY id DESC LIMIT {most}::bigint",
            branches.join(" UNION ALL ")
        );
        let rows = self.query(WHAT, &pick, &filter.parameters()).await?;
        let picked = rows.iter().map(|row| {
            Ok(Picked {
                id: get(row, "id")?,
                is_ordered: get(row, "is_ordered")?,
            })
        });
        picked.collect()
    }

    /// Changes those of these that still match. The queue first: what leaves it meanwhile is then
    /// found in the archive.
    async fn change_picked(
        &self,
        query: &DeliveryQuery,
        to: Change,
        picked: &[Picked],
        now: Timestamp,
    ) -> Result<usize> {
        let mut connection = self.connection().await?;
        let error = |error| storage_error(WHAT, &error);
        let on = self.begin(&mut connection, WHAT).await?;
        let ids_of = |ordered: bool| -> Vec<Uuid> {
            let those = picked.iter().filter(|picked| picked.is_ordered == ordered);
            those.map(|picked| picked.id).collect()
        };
        let (plain, ordered) = (ids_of(false), ids_of(true));
        if !ordered.is_empty() {
            on.batch_execute(&now_is(now)).await.map_err(error)?;
            let lock = on.prepare_cached(&self.sql(LOCK_ORDERS)).await;
            let lock = lock.map_err(error)?;
            on.execute(&lock, &[&ordered]).await.map_err(error)?;
        }
        let mut changed = 0;
        if sends_again(to) {
            changed += self.change_these(&on, query, to, &plain, now).await?;
            // One by one, so that each finds those before it in its order.
            for id in ordered.chunks(1) {
                changed += self.replay_heads(&on, query, id, now).await?;
                changed += self.change_these(&on, query, to, id, now).await?;
            }
        } else {
            let all: Vec<_> = picked.iter().map(|picked| picked.id).collect();
            changed += self.change_these(&on, query, to, &all, now).await?;
        }
        let committed = on.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(usize::try_from(changed).unwrap_or(0))
    }

    async fn change_these(
        &self,
        on: &Transaction<'_>,
        query: &DeliveryQuery,
        to: Change,
        ids: &[Uuid],
        now: Timestamp,
    ) -> Result<i64> {
        let mut changed = 0;
        for (table, which, sql) in steps(to) {
            let sql = sql.replace("{place}", "seq = DEFAULT,");
            let which = applies(to, which);
            changed += self
                .change_in(on, query, (*table, &which, &sql), ids, now)
                .await?;
        }
        Ok(changed)
    }

    /// Sends again, at their old places, those that hold their orders.
    async fn replay_heads(
        &self,
        on: &Transaction<'_>,
        query: &DeliveryQuery,
        ids: &[Uuid],
        now: Timestamp,
    ) -> Result<i64> {
        let which = format!("q.status = 'dead' AND q.in_line AND {GOES_AGAIN}");
        let sql = REPLAY.replace("{place}", "");
        let step = (Table::Queue, &*which, &*sql);
        self.change_in(on, query, step, ids, now).await
    }

    /// Runs one statement of a change on those of these deliveries that still match.
    async fn change_in(
        &self,
        on: &Transaction<'_>,
        query: &DeliveryQuery,
        (table, which, sql): (Table, &str, &str),
        ids: &[Uuid],
        now: Timestamp,
    ) -> Result<i64> {
        let error = |error| storage_error(WHAT, &error);
        let mut filter = Filter::new(query);
        let Some(conditions) = filter.of(table) else {
            return Ok(0);
        };
        let places = filter.everywhere();
        let those = filter.parameter(ids.to_vec());
        let at = filter.parameter(time(now));
        let mut sql = with_cancelled(sql, &at);
        if sql.contains("{sort_keys}") {
            sql = sql.replace("{sort_keys}", &filter.parameter(sort_keys(now)));
        }
        let picked = format!(
            "SELECT q.id, q.status, q.order_key IS NOT NULL AND {HAS_LINE} AS is_blocked \
             FROM @.{} q JOIN @.webhook_events e ON e.id = q.event_id \
             WHERE q.id = ANY ({those}::uuid[]) AND {conditions} AND {which}{places} \
             ORDER BY q.id DESC FOR UPDATE OF q",
            table.name()
        );
        let sql = self.sql(&sql.replace("{picked}", &picked));
        let statement = on.prepare_cached(&sql).await.map_err(error)?;
        let rows = on.query(&statement, &filter.parameters()).await;
        let rows = rows.map_err(error)?;
        rows.first().map_or(Ok(0), |row| get(row, "changed"))
    }
}

/// A delivery that matches.
struct Picked {
    id: Uuid,
    is_ordered: bool,
}

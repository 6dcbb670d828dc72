//! What is too old goes, in statements of bounded size, each a commit of its own.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio_postgres::types::ToSql;
use webhooks_core::storage::spi::{IDEMPOTENCY_WINDOW, Swept};
use webhooks_core::storage::{Retention, STAT_HOURS_KEPT, STAT_MINUTES_KEPT};
use webhooks_core::{Result, Timestamp};

use crate::columns::{get, long, time};
use crate::database::Database;
use crate::drop_events::EventRound;
use crate::endpoints::NONE_REPLACED;

const EXPIRE: &str = include_str!("sql/expire_waiting.sql");
const FOLD: &str = include_str!("sql/fold_totals.sql");
/// Rows of totals that one statement folds.
const MOST_FOLDED: i64 = 50_000;
const TOMBSTONES: &str = include_str!("sql/drop_tombstones.sql");
/// Endpoints that were deleted or replaced and for which something waits nevertheless, because the
/// process that did it died before it had cancelled everything.
const HALF_DELETED: &str = "(SELECT id, true AS is_replaced FROM @.webhook_endpoints \
    WHERE is_replaced LIMIT 10) UNION ALL (SELECT e.id, false FROM @.webhook_endpoints e \
    WHERE e.deleted_at IS NOT NULL AND (EXISTS (SELECT FROM @.webhook_queue q \
        WHERE q.endpoint_id = e.id AND q.status = 'blocked' AND q.in_line) \
    OR EXISTS (SELECT FROM @.webhook_queue q \
        WHERE q.endpoint_id = e.id AND q.status = 'pending' AND q.is_ready) \
    OR EXISTS (SELECT FROM @.webhook_queue q \
        WHERE q.endpoint_id = e.id AND q.status = 'pending' AND NOT q.is_ready)) LIMIT 10)";
const ARCHIVE: &str = "DELETE FROM @.webhook_archive WHERE id = ANY (ARRAY( \
    SELECT id FROM @.webhook_archive WHERE updated_at <= $1::timestamptz \
    ORDER BY updated_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
const DEAD: &str = "DELETE FROM @.webhook_queue WHERE id = ANY (ARRAY( \
    SELECT id FROM @.webhook_queue WHERE status = 'dead' AND updated_at <= $1::timestamptz \
    ORDER BY updated_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
const ATTEMPTS: &str = "DELETE FROM @.webhook_attempts WHERE ctid = ANY (ARRAY( \
    SELECT ctid FROM @.webhook_attempts WHERE started_at < $1::timestamptz \
    ORDER BY started_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
const KEYS: &str = "DELETE FROM @.webhook_idempotency WHERE key = ANY (ARRAY( \
    SELECT key FROM @.webhook_idempotency WHERE expires_at <= $1::timestamptz \
    ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
const DOCUMENTS: &str = "DELETE FROM @.webhook_documents d USING ( \
    SELECT kind, id FROM @.webhook_documents WHERE expires_at <= $1::timestamptz \
    ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED) old \
    WHERE d.kind = old.kind AND d.id = old.id RETURNING 1";
const MINUTES: &str = "DELETE FROM @.webhook_stats WHERE ctid = ANY (ARRAY( \
    SELECT ctid FROM @.webhook_stats WHERE seconds = 60 AND at <= $1::timestamptz \
    ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
const HOURS: &str = "DELETE FROM @.webhook_stats WHERE ctid = ANY (ARRAY( \
    SELECT ctid FROM @.webhook_stats WHERE seconds = 3600 AND at <= $1::timestamptz \
    ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1";
/// Attempts that are in the archive go before their deliveries, where the log is kept a shorter time.
const ARCHIVED_ATTEMPTS: &str = "UPDATE @.webhook_archive SET started_at = NULL, duration_us = NULL, \
    number = NULL, response = NULL, response_headers = NULL \
    WHERE updated_at > $1::timestamptz AND updated_at <= $2::timestamptz \
    AND started_at < $2";
const WORKERS: &str = "DELETE FROM @.webhook_workers w WHERE seen_at < $1::timestamptz \
    AND NOT EXISTS (SELECT FROM @.webhook_queue q \
        WHERE q.status = 'processing' AND q.worker = w.id)";

/// How far this process has come with what a sweep looks at bit by bit.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    events: EventRound,
    /// What ended up to then has no attempt in the archive any more.
    attempts: Mutex<Option<Timestamp>>,
}

impl Rounds {
    /// Drops attempts from the archive whose time is over before that of their delivery is.
    async fn forget_attempts(
        &self,
        database: &Database,
        retention: &Retention,
        cutoff: Timestamp,
    ) -> Result<()> {
        if retention.log >= retention.delivered {
            return Ok(());
        }
        let from = *self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let from = from.unwrap_or(Timestamp::EPOCH);
        let parameters: [&(dyn ToSql + Sync); 2] = [&time(from), &time(cutoff)];
        database
            .execute("sweep", ARCHIVED_ATTEMPTS, &parameters)
            .await?;
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner) = Some(cutoff);
        Ok(())
    }
}

impl Database {
    pub(crate) async fn sweep(
        &self,
        retention: &Retention,
        limit: usize,
        now: Timestamp,
        rounds: &Rounds,
    ) -> Result<Swept> {
        let mut rows = self
            .expire_waiting(now.before(retention.waiting), limit, now)
            .await?;
        let ended_before = time(now.before(retention.delivered));
        for (sql, cutoff) in [
            (ARCHIVE, ended_before),
            (DEAD, time(now.before(retention.dead))),
            (ATTEMPTS, time(now.before(retention.log))),
        ] {
            if rows < limit {
                rows += self.drop_some(sql, cutoff, limit - rows, now).await?;
            }
        }
        let cutoff = now.before(retention.log);
        rounds.forget_attempts(self, retention, cutoff).await?;
        if rows < limit {
            let cutoff = now.before(retention.events);
            rows += self
                .drop_events(&rounds.events, cutoff, limit - rows)
                .await?;
        }
        for (sql, cutoff) in [
            (DOCUMENTS, now),
            (MINUTES, now.before(STAT_MINUTES_KEPT)),
            (HOURS, now.before(STAT_HOURS_KEPT)),
        ] {
            if rows < limit {
                rows += self.drop_some(sql, time(cutoff), limit - rows, now).await?;
            }
        }
        self.cancel_half_deleted(limit, now).await?;
        self.bring_back_outbox(now).await;
        while self.fold_totals().await? >= MOST_FOLDED {}
        let keys = self.drop_some(KEYS, time(now), limit, now).await?;
        let what = "sweep";
        let cutoff = time(now.before(IDEMPOTENCY_WINDOW));
        self.execute(what, WORKERS, &[&cutoff]).await?;
        self.execute(what, TOMBSTONES, &[&ended_before]).await?;
        Ok(Swept {
            rows,
            // Keys are no rows to be counted; yet they may come faster than one sweep drops them.
            more: rows >= limit || keys >= limit,
        })
    }

    async fn expire_waiting(
        &self,
        cutoff: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let rows = self
            .query_at(
                "sweep",
                EXPIRE,
                &[&time(cutoff), &cutoff.as_millis(), &long(limit), &time(now)],
                now,
            )
            .await?;
        let n = rows.first().map_or(Ok(0), |row| get::<i64>(row, "n"))?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    async fn fold_totals(&self) -> Result<i64> {
        let rows = self.query("sweep", FOLD, &[&MOST_FOLDED]).await?;
        rows.first().map_or(Ok(0), |row| get(row, "n"))
    }

    async fn drop_some(
        &self,
        sql: &str,
        cutoff: SystemTime,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let rows = self
            .query_at("sweep", sql, &[&cutoff, &long(limit)], now)
            .await?;
        Ok(rows.len())
    }

    async fn cancel_half_deleted(&self, limit: usize, now: Timestamp) -> Result<()> {
        for row in self.query("sweep", HALF_DELETED, &[]).await? {
            let id: &str = get(&row, "id")?;
            let cancelled = self.cancel_of_deleted(id, long(limit), now).await?;
            if get(&row, "is_replaced")? && cancelled < long(limit) {
                self.execute("sweep", NONE_REPLACED, &[&id]).await?;
            }
        }
        Ok(())
    }
}

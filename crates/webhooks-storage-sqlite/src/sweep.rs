//! What goes by age, a bounded number of rows at a time.

use webhooks_core::storage::Retention;
use webhooks_core::storage::spi::{IDEMPOTENCY_WINDOW, Swept};
use webhooks_core::{DeadReason, DeliveryState, Timestamp};

use crate::columns::long;
use crate::error::Result;
use crate::row::{Row, select_rows};
use crate::state::State;

/// Rows that one transaction drops at most, so that calls beside a sweep wait little.
const PIECE: usize = 1_000;

/// A row's key is never later than the time it was sent at, so only the first rows of each endpoint
/// need a look.
const OLD_READY: &str = "SELECT q.seq FROM webhook_lanes l \
    CROSS JOIN webhook_queue q INDEXED BY idx_webhook_queue_ready ON q.endpoint = l.endpoint \
    WHERE l.ready > 0 AND q.state = 1 AND q.crashes < 2 AND q.sort_key <= ?1 \
    AND max(q.sent_at, q.due_at) <= ?1 LIMIT ?2";
const OLD_SUSPECT: &str = "SELECT seq FROM webhook_queue INDEXED BY idx_webhook_queue_suspect \
    WHERE state = 1 AND crashes >= 2 AND max(sent_at, due_at) <= ?1 LIMIT ?2";
const OLD_SCHEDULED: &str = "SELECT seq FROM webhook_queue INDEXED BY idx_webhook_queue_due \
    WHERE state = 2 AND due_at <= ?1 AND max(sent_at, due_at) <= ?1 LIMIT ?2";
const OLD_BLOCKED: &str = "SELECT seq FROM webhook_queue INDEXED BY idx_webhook_queue_blocked \
    WHERE state = 0 AND max(sent_at, due_at) <= ?1 LIMIT ?2";
const OLD_ENDED: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_ended \
     WHERE q.state IN (4, 6) AND q.updated_at <= ?1 ORDER BY q.updated_at LIMIT ?2"
);
const OLD_DEAD: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_dead_age \
     WHERE q.state = 5 AND q.updated_at <= ?1 ORDER BY q.updated_at LIMIT ?2"
);
const BRING_BACK: &str = "UPDATE webhook_outbox SET refused_at = NULL, reason = NULL \
    WHERE seq IN (SELECT seq FROM webhook_outbox WHERE refused_at <= ?1 LIMIT 256)";

impl State {
    /// Makes one step of a sweep: at most `limit` rows, of which each kind takes what the one before
    /// left.
    pub(crate) fn sweep(
        &mut self,
        retention: &Retention,
        limit: usize,
        now: Timestamp,
    ) -> Result<Swept> {
        let most = limit.min(PIECE);
        // A key may only go once its window is over: an earlier one would let a sender who repeats
        // a call make the event twice.
        self.expire_keys(now)?;
        // A worker is remembered for a day after its last beat, so that one that was given up and
        // comes back late is still told that it lost its leases.
        self.forget_workers(now.before(IDEMPOTENCY_WINDOW))?;
        let rest = now.before(webhooks_core::storage::spi::OUTBOX_REST);
        self.execute(BRING_BACK, [rest.as_millis()])?;
        let ended = now.before(retention.delivered);
        let mut rows = self.expire_waiting(now.before(retention.waiting), most, now)?;
        rows += self.drop_rows(OLD_ENDED, ended, most - rows, now)?;
        rows += self.drop_rows(OLD_DEAD, now.before(retention.dead), most - rows, now)?;
        rows += self.drop_attempts(now.before(retention.log), most - rows)?;
        // After the deliveries, with the last of which an event may go.
        rows += self.drop_events(now.before(retention.events), most - rows)?;
        rows += self.drop_documents(now, most - rows)?;
        rows += self.drop_stats(now, most - rows)?;
        // After the rows: a tombstone goes only when no row refers to it any more.
        self.drop_tombstones(ended, PIECE)?;
        Ok(Swept {
            rows,
            more: rows == most,
        })
    }

    /// Gives up what has waited since before `cutoff`.
    fn expire_waiting(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> Result<usize> {
        self.write_counts()?;
        let mut old = Vec::new();
        for sql in [OLD_READY, OLD_SUSPECT, OLD_SCHEDULED, OLD_BLOCKED] {
            let params = (cutoff.as_millis(), long(limit - old.len()));
            old.extend(self.all(sql, params, |row| row.get::<_, i64>(0))?);
        }
        for seq in &old {
            // The end of a head has let the next one go, which is in the list too.
            if let Some(mut row) = self.row_at(*seq)? {
                self.bury(&mut row, DeadReason::Expired, now)?;
            }
        }
        Ok(old.len())
    }

    fn drop_rows(
        &mut self,
        sql: &str,
        cutoff: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let old = self.all(sql, (cutoff.as_millis(), long(limit)), Row::of)?;
        for row in &old {
            debug_assert!(row.state.is_ended() && row.state != DeliveryState::Leased);
            self.remove(row, now)?;
        }
        Ok(old.len())
    }
}

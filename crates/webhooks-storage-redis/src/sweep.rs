use std::sync::atomic::Ordering;

use webhooks_core::storage::spi::Swept;
use webhooks_core::storage::{Retention, STAT_HOURS_KEPT, STAT_MINUTES_KEPT};
use webhooks_core::{Result, Timestamp};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::script::Script;

/// Rows that one run of the script drops at most, for which it takes some milliseconds.
const MOST_ROWS: usize = 150;

impl PlainStorage {
    /// Sweeps the partitions in turn, until the limit is met.
    pub(crate) async fn sweep_all(
        &self,
        retention: &Retention,
        limit: usize,
        now: Timestamp,
    ) -> Result<Swept> {
        let count = self.connection.keys.partitions();
        let first = self.sweep_turn.fetch_add(1, Ordering::Relaxed) % count;
        let mut all = Swept::default();
        for n in 0..count {
            let left = limit.saturating_sub(all.rows);
            if left == 0 {
                all.more = true;
                break;
            }
            let partition = (first + n) % count;
            let part = self.sweep_part(partition, retention, left, now).await?;
            all.rows += part.rows;
            all.more |= part.more;
        }
        Ok(all)
    }

    async fn sweep_part(
        &self,
        partition: usize,
        retention: &Retention,
        limit: usize,
        now: Timestamp,
    ) -> Result<Swept> {
        let mut swept = Swept {
            rows: 0,
            more: true,
        };
        while swept.more && swept.rows < limit {
            let mut args = Args::default();
            args.number((limit - swept.rows).min(MOST_ROWS));
            for kept in [
                retention.waiting,
                retention.delivered,
                retention.dead,
                retention.log,
                STAT_MINUTES_KEPT,
                STAT_HOURS_KEPT,
                retention.events,
            ] {
                args.number(now.before(kept).as_millis());
            }
            let script = Script::Sweep;
            let now = now.as_millis().to_string();
            let mut reply = self.connection.run(partition, script, &now, &args).await?;
            swept.rows += reply.number::<usize>()?;
            swept.more = reply.flag()?;
            let mut dropped = Vec::new();
            while !reply.is_over() {
                dropped.push(reply.text()?);
            }
            self.forget_endpoints(&dropped).await?;
        }
        Ok(swept)
    }
}

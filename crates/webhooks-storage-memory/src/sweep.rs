use webhooks_core::storage::Retention;
use webhooks_core::storage::spi::{IDEMPOTENCY_WINDOW, Swept};
use webhooks_core::{DeadReason, Timestamp};

use crate::state::State;

impl State {
    pub(crate) fn sweep(&mut self, retention: &Retention, limit: usize, now: Timestamp) -> Swept {
        self.keys.expire(now);
        self.forget_workers(now.before(IDEMPOTENCY_WINDOW));
        let ended_before = now.before(retention.delivered);
        let mut rows = 0;
        rows += self.expire_waiting(now.before(retention.waiting), limit, now);
        rows += self.drop_ended(ended_before, limit - rows, now);
        rows += self.drop_dead(now.before(retention.dead), limit - rows, now);
        rows += self.drop_log(now.before(retention.log), limit - rows);
        self.drop_tombstones(ended_before);
        Swept {
            rows,
            more: rows == limit,
        }
    }

    /// Gives up what has waited since before `cutoff`.
    fn expire_waiting(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        let overdue = self.overdue(cutoff, limit);
        for handle in &overdue {
            self.bury(*handle, DeadReason::Expired, now);
        }
        overdue.len()
    }

    /// A row's key is never later than the time it was sent at, so the first rows of each queue
    /// are all that need a look.
    fn overdue(&self, cutoff: Timestamp, limit: usize) -> Vec<u32> {
        let is_overdue = |handle: &u32| {
            let row = self.rows.at(*handle);
            row.sent_at.max(row.due_at) <= cutoff
        };
        let until = (cutoff.as_millis(), u64::MAX);
        let ready = self
            .endpoints
            .iter()
            .flat_map(|(_, e)| e.ready.range(..=until).chain(e.suspects.range(..=until)));
        let ready = ready.map(|(_, handle)| *handle);
        let scheduled = self.scheduled.range(..=(cutoff, u64::MAX)).map(|(_, h)| *h);
        ready
            .chain(scheduled)
            .filter(is_overdue)
            .take(limit)
            .collect()
    }

    fn drop_ended(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        while dropped < limit {
            let Some(&(oldest, seq)) = self.ended.front() else {
                break;
            };
            let row = self.rows.get(oldest).filter(|row| row.seq == seq);
            if row.is_some_and(|row| row.updated_at > cutoff) {
                break;
            }
            dropped += usize::from(self.drop_oldest_ended(now));
        }
        dropped
    }

    fn drop_dead(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        let old = self.dead_by_age.range(..=(cutoff, u32::MAX));
        let old: Vec<u32> = old.take(limit).map(|(_, handle)| *handle).collect();
        for handle in &old {
            self.remove(*handle, now);
        }
        old.len()
    }

    fn drop_log(&mut self, cutoff: Timestamp, limit: usize) -> usize {
        (0..limit)
            .take_while(|_| self.log.pop_before(cutoff))
            .count()
    }
}

//! What goes by age: deliveries that waited too long, ended rows, dead letters, the log, events,
//! keys, workers and tombstones. A step of a sweep changes a bounded number of rows, as the whole
//! storage stands still meanwhile.

use webhooks_core::storage::Retention;
use webhooks_core::storage::spi::IDEMPOTENCY_WINDOW;
use webhooks_core::{DeadReason, Timestamp};

use crate::state::State;

impl State {
    /// Makes one step of a sweep: at most `limit` rows of the five kinds, in the order below. How
    /// many there were. What has no row (keys, workers, tombstones) is bounded by the limits, and
    /// goes whole in each step.
    pub(crate) fn sweep(&mut self, retention: &Retention, limit: usize, now: Timestamp) -> usize {
        // A key may only go once its window is over: an earlier one would let a sender who repeats
        // a call make the event twice.
        self.keys.expire(now);
        // A worker is remembered for a day after its last beat, so that one that was given up and
        // comes back late is still told that it lost its leases.
        self.forget_workers(now.before(IDEMPOTENCY_WINDOW));
        let ended_before = now.before(retention.delivered);
        // One budget for all: each takes what the one before left, so that a step costs the
        // same whichever kind is in arrears.
        let mut rows = 0;
        rows += self.expire_waiting(now.before(retention.waiting), limit, now);
        rows += self.drop_ended(ended_before, limit - rows, now);
        rows += self.drop_dead(now.before(retention.dead), limit - rows, now);
        rows += self.drop_log(now.before(retention.log), limit - rows);
        // After the deliveries, with the last of which an event may go.
        rows += self.drop_events(now.before(retention.events), limit - rows);
        // After the rows: a tombstone goes only when no row points at its handle any more.
        self.drop_tombstones(ended_before);
        rows
    }

    /// Gives up what has waited since before `cutoff`.
    fn expire_waiting(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        // Handles first, and then the changes: the queues cannot be walked while rows leave them.
        let overdue = self.overdue(cutoff, limit);
        for handle in &overdue {
            self.bury(*handle, DeadReason::Expired, now);
        }
        overdue.len()
    }

    /// A row's key is never later than the time its wait counts from, so the first rows of each
    /// queue are all that need a look.
    fn overdue(&self, cutoff: Timestamp, limit: usize) -> Vec<u32> {
        // A replay or a retry that is due later makes a row young again, so that neither time alone
        // decides.
        let is_overdue = |handle: &u32| {
            let (since, _) = self.rows.at(*handle).age_key();
            since <= cutoff
        };
        // All queues are ordered by keys that are never later than the time of their row, so a row
        // behind the cutoff's key cannot be overdue. A row of a higher priority has an earlier key
        // and may be looked at in vain.
        let until = (cutoff.as_millis(), u64::MAX);
        let ready = self
            .endpoints
            .iter()
            .flat_map(|(_, e)| e.ready.range(..=until).chain(e.suspects.range(..=until)));
        let ready = ready.map(|(_, handle)| *handle);
        let until = (cutoff, u64::MAX);
        let scheduled = self.scheduled.range(..=until);
        let others = scheduled.chain(self.blocked.range(..=until));
        ready
            .chain(others.map(|(_, handle)| *handle))
            .filter(is_overdue)
            .take(limit)
            .collect()
    }

    /// Drops delivered and cancelled rows, oldest end first. They stand in the order in which they
    /// ended, so the first that is young enough ends the search.
    fn drop_ended(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        while dropped < limit {
            let Some(&(oldest, seq)) = self.ended.front() else {
                break;
            };
            // The handle may belong to another row since; only the number says whose entry this is.
            // An entry without its row is passed over, and counts for nothing.
            let row = self.rows.get(oldest).filter(|row| row.seq == seq);
            if row.is_some_and(|row| row.updated_at > cutoff) {
                break;
            }
            dropped += usize::from(self.drop_oldest_ended(now));
        }
        dropped
    }

    /// Drops dead letters by the time at which they died. They have an index of their own by age:
    /// the one for listing is by id, and a replayed delivery may die long after it was made.
    fn drop_dead(&mut self, cutoff: Timestamp, limit: usize, now: Timestamp) -> usize {
        let old = self.dead_by_age.range(..=(cutoff, u32::MAX));
        let old: Vec<u32> = old.take(limit).map(|(_, handle)| *handle).collect();
        for handle in &old {
            self.remove(*handle, now);
        }
        old.len()
    }

    /// Drops lines of the log from the front. They stand in the order in which they were settled,
    /// which is nearly that of their start: a long request delays what is behind it by no more than
    /// its timeout.
    fn drop_log(&mut self, cutoff: Timestamp, limit: usize) -> usize {
        (0..limit)
            .take_while(|_| self.log.pop_before(cutoff))
            .count()
    }
}

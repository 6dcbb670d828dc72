//! Keeping the counts of each endpoint.

use crate::counts_delta::CountsDelta;
use crate::error::Result;
use crate::state::State;

const ADD: &str = "UPDATE webhook_lanes SET enqueued = enqueued + ?2, purged = purged + ?3, \
    blocked = blocked + ?4, ready = ready + ?5, scheduled = scheduled + ?6, leased = leased + ?7, \
    delivered = delivered + ?8, dead = dead + ?9, cancelled = cancelled + ?10 WHERE endpoint = ?1";
/// Without the columns of `idx_webhook_lanes_claimable`, where they stay as they are.
const ADD_OTHERS: &str = "UPDATE webhook_lanes SET enqueued = enqueued + ?2, purged = purged + ?3, \
    blocked = blocked + ?4, scheduled = scheduled + ?5, leased = leased + ?6, \
    delivered = delivered + ?7, dead = dead + ?8, cancelled = cancelled + ?9 WHERE endpoint = ?1";

impl State {
    /// Changes the counts of an endpoint. Nothing else does, so that their sum is always what was
    /// enqueued.
    pub(crate) fn count(&mut self, endpoint: i64, change: impl FnOnce(&mut CountsDelta)) {
        change(self.pending.entry(endpoint).or_default());
    }

    /// Writes what was counted: before anybody reads counts, and before the commit.
    pub(crate) fn write_counts(&mut self) -> Result<()> {
        for (endpoint, delta) in std::mem::take(&mut self.pending) {
            if delta == CountsDelta::default() {
                continue;
            }
            let [blocked, ready, rest @ ..] = delta.states;
            let first = [endpoint, delta.enqueued, delta.purged, blocked];
            let (sql, ready) = match ready {
                0 => (ADD_OTHERS, &[][..]),
                _ => (ADD, &[ready][..]),
            };
            let all = [first.as_slice(), ready, rest.as_slice()].concat();
            self.execute(sql, rusqlite::params_from_iter(all))?;
        }
        Ok(())
    }
}

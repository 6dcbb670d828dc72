//! Whether this process still holds its leases.
//!
//! This is what keeps a process that was cut off from the storage from sending what others have
//! taken over: [`WORKER_DEAD_AFTER`] after its last stored beat others may, and it stops [`MARGIN`]
//! before. A request that is already in flight then goes on, so that delivery stays at least once.

use std::time::{Duration, Instant};

use webhooks_core::storage::spi::WORKER_DEAD_AFTER;

/// Requests stop this long before others may take the deliveries, for clocks that drift and a
/// task that is scheduled late.
const MARGIN: Duration = Duration::from_secs(2);

/// Until when this process may start requests, and under which leases.
#[derive(Debug, Default)]
pub(super) struct LeaseWindow {
    /// `None` before the first beat.
    ends: Option<Instant>,
    /// Counts losses. What was leased in an earlier epoch neither starts nor is kept.
    epoch: u64,
}

impl LeaseWindow {
    /// The storage took a beat that was sent at `asked`. The window counts from then, and not from
    /// its answer: the storage may have taken it at any moment between the two.
    pub(super) fn beaten(&mut self, asked: Instant) {
        self.ends = Some(asked + (WORKER_DEAD_AFTER - MARGIN));
    }

    /// The storage gave this process up for dead: what was leased before is leased no more.
    pub(super) const fn lose(&mut self) {
        self.epoch += 1;
    }

    /// Which leases are held: it changes when all of them are lost.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Until when requests may start, as far as beats have come.
    pub(super) const fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Whether others may have taken the deliveries since the last beat that was answered. The storage
    /// says so once, and that answer may have been lost.
    pub(super) fn may_be_lost(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| now >= ends + MARGIN)
    }

    /// Whether a request may start at this moment.
    ///
    /// `now` must count the time for which the machine was suspended, as its `asked` did.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| now < ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some moment to count from")]
    fn the_right_to_start_counts_from_when_the_beat_was_sent() {
        let mut window = LeaseWindow::default();
        let sent = Instant::now();
        assert!(!window.is_valid(sent), "before the first beat");
        window.beaten(sent);
        assert!(window.is_valid(sent + Duration::from_millis(9_999)));
        assert!(!window.is_valid(sent + Duration::from_secs(10)));
    }
}

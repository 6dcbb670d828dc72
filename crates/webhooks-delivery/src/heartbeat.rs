//! Whether this process still holds its leases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use webhooks_core::storage::spi::WORKER_DEAD_AFTER;

use crate::moment;

/// Requests stop this long before others may take the deliveries, for clocks that drift and a
/// task that is scheduled late.
const MARGIN: Duration = Duration::from_secs(2);

/// Until when this process may start requests, counted from its last beat that the storage took.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// A [`moment`], as all that it is told.
    epoch: Instant,
    /// In milliseconds after `epoch`; 0 before the first beat.
    valid_until: AtomicU64,
    /// How often the leases were lost.
    era: AtomicU64,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self {
            epoch: moment::now(),
            valid_until: AtomicU64::new(0),
            era: AtomicU64::new(0),
        }
    }

    /// The storage took a beat that was sent at `asked`.
    pub(crate) fn beaten(&self, asked: Instant) {
        let until = asked.saturating_duration_since(self.epoch) + WORKER_DEAD_AFTER - MARGIN;
        self.valid_until.store(millis(until), Ordering::Release);
    }

    /// The storage gave this process up for dead: what was leased before is leased no more.
    pub(crate) fn leases_lost(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
    }

    /// Which leases are held: it changes when all of them are lost.
    pub(crate) fn era(&self) -> u64 {
        self.era.load(Ordering::SeqCst)
    }

    /// Whether a request may start at this moment, which is now.
    pub(crate) fn is_valid(&self, moment: Instant) -> bool {
        let since = moment.saturating_duration_since(self.epoch);
        millis(since) < self.valid_until.load(Ordering::Acquire)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_start_counts_from_when_the_beat_was_sent() {
        let heartbeat = Heartbeat::new();
        let sent = heartbeat.epoch + Duration::from_secs(1);
        assert!(!heartbeat.is_valid(sent), "before the first beat");
        heartbeat.beaten(sent);
        assert!(heartbeat.is_valid(sent + Duration::from_millis(9_999)));
        assert!(!heartbeat.is_valid(sent + Duration::from_secs(10)));
    }
}

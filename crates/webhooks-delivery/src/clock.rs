//! Storage time, told without asking the storage.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;
use webhooks_core::{Clock, Timestamp};

/// The storage's time as of the last beat, advanced by the monotonic clock since.
///
/// A node whose wall clock is wrong therefore neither retries early nor signs with a wrong time.
#[derive(Debug)]
pub(crate) struct StorageClock {
    started: Instant,
    /// Storage time at `started`, in milliseconds.
    base: AtomicI64,
}

impl StorageClock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            base: AtomicI64::new(0),
        }
    }

    /// Takes over what the storage said: its time was `now` between `asked` and this moment.
    pub(crate) fn set(&self, now: Timestamp, asked: Instant) {
        let middle = asked + asked.elapsed() / 2;
        let since = Timestamp::EPOCH.after(middle - self.started);
        self.base
            .store(now.as_millis() - since.as_millis(), Ordering::Relaxed);
    }

    /// Storage time at a moment.
    pub(crate) fn at(&self, moment: Instant) -> Timestamp {
        let since = moment.saturating_duration_since(self.started).as_millis();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.base.load(Ordering::Relaxed).saturating_add(since))
    }

    /// The moment at which storage time will be `at`; now, if that has passed.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.now())
    }
}

impl Clock for StorageClock {
    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }
}

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many deliveries there are. At any time
/// `enqueued = delivered + dead + cancelled + purged + waiting()`.
///
/// A storage starts from the default and sets what it counts. What is sent again leaves the count
/// of those that ended as it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Made so far.
    pub enqueued: u64,
    /// Ended as delivered so far, expired rows included.
    pub delivered: u64,
    /// Ended as dead so far and neither replayed nor purged; expired rows included.
    pub dead: u64,
    /// Ended as cancelled so far, expired rows included.
    pub cancelled: u64,
    /// Dead letters purged by hand so far.
    pub purged: u64,
    /// Blocked now: those before them in their order have not ended.
    #[serde(default)]
    pub blocked: u64,
    /// Ready now.
    pub ready: u64,
    /// Scheduled now.
    pub scheduled: u64,
    /// Leased now.
    pub leased: u64,
    /// Of those blocked, ready and scheduled, how many wait because their endpoint is disabled or paused.
    pub suspended: u64,
}

impl Counts {
    /// Blocked, ready, scheduled and leased together.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.blocked + self.ready + self.scheduled + self.leased
    }
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Delivered and cancelled deliveries. Defaults to 7 days.
    pub delivered: Duration,
    /// The log of attempts. Defaults to 30 days.
    pub log: Duration,
    /// Dead letters. Defaults to 90 days.
    pub dead: Duration,
    /// Waiting deliveries, which then become dead as expired. Defaults to 30 days.
    pub waiting: Duration,
    /// Events, counted from when they were sent, and at least as long as there is a delivery of
    /// them. Defaults to 7 days.
    pub events: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            delivered: DAY * 7,
            log: DAY * 30,
            dead: DAY * 90,
            waiting: DAY * 30,
            events: DAY * 7,
        }
    }
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that were dropped or given up.
    pub rows: usize,
    /// There is more to do.
    pub more: bool,
}

//! A clock that stands still.

use webhooks_core::{Clock, Timestamp};

/// The time of the shared vectors, in Unix seconds.
pub(crate) const NOW: i64 = 1_750_000_000;

#[derive(Debug)]
pub(crate) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }
}

//! Durations as they go over the wire.

use std::time::Duration;

/// Whole milliseconds.
pub(in crate::api) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

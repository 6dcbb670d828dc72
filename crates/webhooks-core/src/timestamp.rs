//! Points in storage time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The last instant that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;

/// A point in time, in whole milliseconds since the Unix epoch (UTC, without leap seconds).
///
/// Arithmetic saturates. It is printed as RFC 3339 with milliseconds, `2024-01-01T12:00:00.000Z`.
///
/// ```
/// use std::time::Duration;
/// use webhooks_core::Timestamp;
///
/// let noon = Timestamp::from_secs(43_200);
/// assert_eq!(noon.to_string(), "1970-01-01T12:00:00.000Z");
/// assert_eq!(noon.after(Duration::from_secs(60)).since(noon), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The point `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The point `secs` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: what signatures carry.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        // Down also before 1970, where a plain division would round up.
        self.0.div_euclid(1000)
    }

    /// This point moved into the future by `by`; parts of a millisecond are rounded up, so that
    /// nothing that waits for the result wakes too early.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// This point moved into the past by `by`.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero if it is not.
    ///
    /// Never negative, so that a clock that was set back looks like no time having passed.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    // Up, for `before` as well: a cutoff is then rather too early, and keeps what is just at the
    // edge.
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Self::EPOCH.before(before.duration()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// Points before the epoch and after the year 9999 become the nearest one inside.
    fn from(at: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0.clamp(0, LAST)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis((*self).into()).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc3339_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_704_110_400_000).to_string(),
            "2024-01-01T12:00:00.000Z"
        );
    }

    #[test]
    fn extremes_neither_overflow_nor_panic() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert!(at.after(Duration::MAX) >= at);
            assert!(at.before(Duration::MAX) <= at);
            assert!(at.to_string().ends_with('Z'));
        }
    }

    #[test]
    fn moving_forward_rounds_up_to_the_millisecond() {
        let at = Timestamp::EPOCH.after(Duration::from_micros(1));
        assert_eq!(at.as_millis(), 1);
    }
}

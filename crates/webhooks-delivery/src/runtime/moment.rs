//! Moments that count the time for which the machine was suspended, too.
//!
//! A machine that wakes after an hour must know at once that its leases are gone, before its next
//! beat. Everything that decides whether a request may start is measured with these moments; only
//! sleeps use Tokio's clock.

use std::time::{Duration, Instant};

/// This moment. Tokio's clock stands still while the machine is suspended, and so would leases that
/// others have long taken over; this one goes on, where the operating system has a clock that does.
/// It is to be compared with its like, and not to be slept until.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std() + suspended()
}

/// How long the machine has been suspended since its start. It never falls.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn suspended() -> Duration {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::time::{ClockId, clock_gettime};

    static LONGEST: AtomicU64 = AtomicU64::new(0);
    // The one that stood still is read last: what passes between the two is no suspension, and makes
    // the difference smaller, which the longest of all corrects.
    let since_start = Duration::try_from(clock_gettime(ClockId::Boottime));
    let awake = Duration::try_from(clock_gettime(ClockId::Monotonic));
    let asleep = since_start
        .unwrap_or_default()
        .saturating_sub(awake.unwrap_or_default());
    let asleep = u64::try_from(asleep.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(LONGEST.fetch_max(asleep, Ordering::Relaxed).max(asleep))
}

/// Nobody tells.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn suspended() -> Duration {
    Duration::ZERO
}

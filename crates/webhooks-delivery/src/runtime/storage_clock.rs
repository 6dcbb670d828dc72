//! Storage time, told without asking the storage.
//!
//! Due times, holds and signatures are judged by one time, that of the storage, on all nodes. This
//! is a copy of it that is right within the duration of one call, and behind rather than ahead.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

use webhooks_core::{Clock, Timestamp};

use super::moment;
use crate::schedule::Now;

/// The storage's time as of the last beat, advanced by this machine's clock since.
///
/// A node whose wall clock is wrong therefore neither retries early nor signs with a wrong time.
#[derive(Debug)]
pub(crate) struct StorageClock {
    /// A [`moment`].
    started: Instant,
    /// Storage time at `started`, in milliseconds.
    /// One atomic and no lock: it is read for each input of the scheduler.
    base: AtomicI64,
}

/// What `base` is before the storage has told its time.
const UNTOLD: i64 = i64::MIN;

impl StorageClock {
    pub(crate) fn new() -> Self {
        Self {
            started: moment::now(),
            base: AtomicI64::new(UNTOLD),
        }
    }

    /// A clock that counts from this moment.
    #[cfg(test)]
    pub(crate) const fn started(at: Instant) -> Self {
        Self {
            started: at,
            base: AtomicI64::new(UNTOLD),
        }
    }

    /// Takes over what the storage said: its time was `now` between `asked` and this moment.
    pub(crate) fn set(&self, now: Timestamp, asked: Instant) {
        self.set_between(now, asked, moment::now());
    }

    /// As [`set`](Self::set), answered at a moment.
    pub(crate) fn set_between(&self, now: Timestamp, asked: Instant, answered: Instant) {
        // Counted from the end of the call, storage time is never told ahead of what it is: what
        // waits for a time would come too early.
        let least = now.as_millis() - self.millis_at(answered);
        let most = now.as_millis() - self.millis_at(asked);
        let base = self.base.load(Ordering::Relaxed);
        // An earlier reading that is possible still stays, or one slow answer would set the clock
        // back, and the next one forward again, past what was put off meanwhile.
        // What lies between is possible by this reading as well. Only a reading that contradicts
        // the clock moves it, as after the storage's time was set or the two have drifted apart.
        if base < least || base > most {
            self.base.store(least, Ordering::Relaxed);
        }
    }

    /// Whether the storage has told its time.
    pub(crate) fn is_told(&self) -> bool {
        self.base.load(Ordering::Relaxed) != UNTOLD
    }

    /// Storage time at a [`moment`]. Before the storage has told it, nothing is leased, sent or swept
    /// that could be judged by it, and this machine's own time serves who asks.
    pub(crate) fn at(&self, moment: Instant) -> Timestamp {
        match self.base.load(Ordering::Relaxed) {
            UNTOLD => wall_clock(),
            base => Timestamp::from_millis(base.saturating_add(self.millis_at(moment))),
        }
    }

    /// This moment, and storage time at it.
    pub(crate) fn read(&self) -> Now {
        let moment = moment::now();
        Now {
            moment,
            at: self.at(moment),
        }
    }

    /// The moment, of those to sleep until, at which storage time will be `at`; now, if that has
    /// passed.
    pub(crate) fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::now() + at.since(self.now())
    }

    /// Milliseconds from `started` to a moment; 0 before it.
    fn millis_at(&self, moment: Instant) -> i64 {
        let since = moment.saturating_duration_since(self.started).as_millis();
        i64::try_from(since).unwrap_or(i64::MAX)
    }
}

impl Clock for StorageClock {
    fn now(&self) -> Timestamp {
        self.at(moment::now())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a clock")]
fn wall_clock() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_704_110_400_000);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn before_the_storage_has_told_its_time_it_is_not_1970() {
        let clock = StorageClock::new();
        assert!(!clock.is_told());
        assert!(clock.now() > NOON);
        clock.set(NOON, moment::now());
        assert!(clock.is_told());
        assert!(clock.now() < NOON.after(Duration::from_secs(5)));
    }

    #[test]
    fn it_is_never_ahead_however_long_an_answer_takes() {
        for read_after in [0, 4, 8] {
            let clock = StorageClock::new();
            let start = clock.started;
            // The storage read its clock at some time within the eight seconds.
            let told = NOON.after(Duration::from_secs(read_after));
            clock.set_between(told, start, after(start, 8));
            assert!(clock.at(after(start, 8)) <= NOON.after(Duration::from_secs(8)));
        }
    }

    #[test]
    fn one_slow_answer_moves_nothing_that_is_known_better() {
        for read_after in [0, 4, 8] {
            let clock = StorageClock::new();
            let start = clock.started;
            clock.set_between(NOON, start, start);
            let told = NOON.after(Duration::from_secs(10 + read_after));
            clock.set_between(told, after(start, 10), after(start, 18));
            let expected = NOON.after(Duration::from_secs(18));
            assert_eq!(
                clock.at(after(start, 18)),
                expected,
                "read after {read_after} s"
            );
        }
    }

    #[test]
    fn it_follows_a_storage_whose_time_was_set() {
        let clock = StorageClock::new();
        let start = clock.started;
        for told in [NOON, NOON.after(Duration::from_secs(3_600)), NOON] {
            clock.set_between(told, start, start);
            assert_eq!(clock.at(start), told);
        }
    }
}

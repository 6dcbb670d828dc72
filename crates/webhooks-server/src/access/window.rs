//! How often something may happen within a stretch of time.
//!
//! A window is a fixed stretch, not a sliding one: the first event after a stretch has passed begins the
//! next. Across the border of two stretches a caller can thus have twice the number in a short time. The
//! limits that use it are coarse, so that costs nothing, and a window needs one number per name instead
//! of a list of times.
//!
//! The names of a window are bounded by the number that all together may have: once that is reached no
//! further name is added, and everyone is refused until the stretch has passed. A stranger who invents
//! names can therefore fill neither the memory nor more than one stretch.
//!
//! [`Window::check`] and [`Window::count`] are apart because a bad key is counted after it was found to be
//! bad. Requests that run at once may all pass the check before the first of them is counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use webhooks_core::Timestamp;

use crate::problem::Problem;

/// Counts what happens within stretches of one length, by whom: in this process.
#[derive(Debug)]
pub(crate) struct Window {
    length: Duration,
    /// How often one may within a stretch.
    of_one: u32,
    /// How often all together may; as many names are kept at most.
    of_all: u32,
    counted: Mutex<Counted>,
}

/// What has happened within the stretch of now.
#[derive(Debug)]
struct Counted {
    /// When it began.
    since: Timestamp,
    all: u32,
    of: HashMap<String, u32>,
}

impl Window {
    /// Nothing has happened yet.
    pub(crate) fn new(length: Duration, of_one: u32, of_all: u32) -> Self {
        Self {
            length,
            of_one,
            of_all,
            counted: Mutex::new(Counted {
                since: Timestamp::EPOCH,
                all: 0,
                of: HashMap::new(),
            }),
        }
    }

    /// Refuses what has happened too often.
    ///
    /// # Errors
    ///
    /// 429 `too-many-requests`, with the rest of the stretch as the time to wait.
    pub(crate) fn check(&self, who: Option<&str>, now: Timestamp) -> Result<(), Problem> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.since(counted.since);
        let of_one = who.and_then(|who| counted.of.get(who).copied());
        let is_full = counted.all >= self.of_all || of_one.unwrap_or(0) >= self.of_one;
        match passed < self.length && is_full {
            true => Err(Problem::too_many_requests(self.length - passed)),
            false => Ok(()),
        }
    }

    /// Takes note that it happened.
    pub(crate) fn count(&self, who: Option<&str>, now: Timestamp) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(counted.since) >= self.length {
            counted.since = now;
            counted.all = 0;
            counted.of.clear();
        }
        counted.all = counted.all.saturating_add(1);
        if let Some(who) = who.filter(|_| counted.all <= self.of_all) {
            *counted.of.entry(who.to_owned()).or_default() += 1;
        }
    }

    /// Takes note of it, or refuses it.
    pub(crate) fn take(&self, who: &str, now: Timestamp) -> Result<(), Problem> {
        self.check(Some(who), now)?;
        self.count(Some(who), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_it_too_often_waits_and_others_do_not() {
        let window = Window::new(Duration::from_secs(60), 2, 5);
        let at = Timestamp::from_secs;
        assert!(window.take("a", at(100)).is_ok() && window.take("a", at(110)).is_ok());
        assert!(window.take("a", at(159)).is_err());
        assert!(window.take("b", at(159)).is_ok());
        assert!(window.take("a", at(160)).is_ok());
        for _ in 0..4 {
            window.count(None, at(161));
        }
        assert!(window.take("c", at(162)).is_err());
        assert!(window.take("c", at(220)).is_ok());
    }
}

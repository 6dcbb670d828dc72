use webhooks_core::{RateLimitConfig, Timestamp};

/// How fast an endpoint may still be sent to: a token bucket, kept as one time in the way of the
/// generic cell rate algorithm (ITU-T I.371).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From one token to the next, in nanoseconds.
    every: i64,
    burst: i64,
    /// When all tokens but one will be there again, in nanoseconds since the epoch.
    pub(crate) full_at: i64,
}

impl Pace {
    /// That of a limit, from the time that was kept.
    pub(crate) fn new(limit: RateLimitConfig, full_at: i64, now: Timestamp) -> Self {
        let every = 1_000_000_000 / i64::from(limit.requests_per_second.max(1));
        let burst = i64::from(limit.burst_size.max(1));
        // Later than this only a clock that was set back or a slower limit of before can make it.
        let latest = nanos(now).saturating_add(every * burst);
        Self {
            every,
            burst,
            full_at: full_at.min(latest),
        }
    }

    /// Requests that may start at this time.
    pub(crate) fn tokens(&self, now: Timestamp) -> usize {
        let ahead = self.full_at.saturating_sub(nanos(now)).max(0);
        let free = (self.burst - 1) * self.every - ahead;
        match free {
            0.. => usize::try_from(free / self.every + 1).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Takes the token of one request.
    pub(crate) fn spend(&mut self, now: Timestamp) {
        self.full_at = self.full_at.max(nanos(now)).saturating_add(self.every);
    }

    /// When the next token is there, if there is none.
    pub(crate) fn next_token(&self) -> Timestamp {
        let at = self.full_at - (self.burst - 1) * self.every;
        Timestamp::from_millis(at.div_euclid(1_000_000) + i64::from(at.rem_euclid(1_000_000) > 0))
    }
}

const fn nanos(time: Timestamp) -> i64 {
    time.as_millis().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    const fn limit(requests_per_second: u32, burst_size: u32) -> RateLimitConfig {
        RateLimitConfig {
            requests_per_second,
            burst_size,
        }
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_with_each_token() {
        let mut pace = Pace::new(limit(4, 3), 0, at(0));
        assert_eq!(pace.tokens(at(0)), 3);
        for left in [2, 1, 0] {
            pace.spend(at(0));
            assert_eq!(pace.tokens(at(0)), left);
        }
        assert_eq!(pace.next_token(), at(250));
        assert_eq!(pace.tokens(at(249)), 0);
        assert_eq!(pace.tokens(at(250)), 1);
        assert_eq!(pace.tokens(at(60_000)), 3, "never more than a burst");
    }

    #[test]
    fn over_a_long_time_no_more_start_than_the_rate_allows() {
        let mut pace = Pace::new(limit(7, 1), 0, at(0));
        let mut started = 0;
        for millis in 0..10_000 {
            while pace.tokens(at(millis)) > 0 {
                pace.spend(at(millis));
                started += 1;
            }
        }
        assert!((70..=71).contains(&started), "{started}");
    }

    #[test]
    fn what_was_kept_of_a_wrong_clock_holds_back_no_longer_than_a_bucket_takes_to_fill() {
        let pace = Pace::new(limit(10, 5), i64::MAX, at(0));
        assert_eq!(pace.tokens(at(0)), 0);
        assert_eq!(pace.next_token(), at(100));
    }
}

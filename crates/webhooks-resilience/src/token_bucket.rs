//! The token bucket of one endpoint: a governor limiter whose time is passed in.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use webhooks_core::{RateLimitConfig, Timestamp};

use crate::endpoint_map::Entry;

/// How far threads may disagree about the time without being taken for a clock that was set back.
const SKEW: Duration = Duration::from_secs(1);

/// It is asked only under the lock of its shard, so the cell of its clock has one user at a time.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    config: RateLimitConfig,
    limiter: RateLimiter<NotKeyed, InMemoryState, PassedTime, NoOpMiddleware<Nanos>>,
    /// By when it is full again, if no further token is taken. This may be later than it really is.
    full_at: Timestamp,
}

impl TokenBucket {
    /// A full bucket. A rate or burst of 0, which [`RateLimitConfig::validate`] refuses, acts as 1.
    pub(crate) fn new(config: RateLimitConfig, now: Timestamp) -> Self {
        let rate = at_least_one(config.requests_per_second);
        let quota = Quota::per_second(rate).allow_burst(at_least_one(config.burst_size));
        Self {
            config,
            limiter: RateLimiter::direct_with_clock(quota, PassedTime::at(now)),
            full_at: now,
        }
    }

    /// Takes a token, or says when there will be one. A changed `config` begins with a full bucket.
    pub(crate) fn take(
        &mut self,
        config: RateLimitConfig,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        // As if new, with a full bucket: the tokens of one limit mean nothing under another.
        if config != self.config {
            *self = Self::new(config, now);
        }
        match self.check(now) {
            // No bucket takes longer to gain one token than to be filled, so the clock was set back.
            Err(wait) if wait > self.refill_time() + SKEW => {
                *self = Self::new(config, now);
                self.check(now)
            }
            checked => checked,
        }
        .map_err(|wait| now.after(wait))
    }

    fn check(&mut self, now: Timestamp) -> Result<(), Duration> {
        let time = nanos(now);
        self.limiter.clock().0.set(time);
        self.limiter
            .check()
            .map_err(|until| until.wait_time_from(time))?;
        // Later than it really is if some tokens were left; dropping the bucket later does no harm,
        // earlier would give away a burst.
        self.full_at = now.after(self.refill_time());
        Ok(())
    }

    /// How long an empty bucket takes to be full.
    fn refill_time(&self) -> Duration {
        let per_token =
            Duration::from_secs(1) / at_least_one(self.config.requests_per_second).get();
        per_token.saturating_mul(self.config.burst_size.max(1))
    }
}

impl Entry for TokenBucket {
    fn is_idle(&self, now: Timestamp) -> bool {
        self.full_at <= now
    }
}

/// The time of the call that is being made.
#[derive(Debug)]
struct PassedTime(Cell<Nanos>);

impl PassedTime {
    fn at(now: Timestamp) -> Self {
        Self(Cell::new(nanos(now)))
    }
}

impl Clock for PassedTime {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// Nanoseconds since the epoch, from 1970 to 2262, which leaves governor's sums room.
fn nanos(at: Timestamp) -> Nanos {
    let nanos = at.as_millis().max(0).saturating_mul(1_000_000);
    Nanos::new(nanos.unsigned_abs())
}

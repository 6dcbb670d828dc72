//! How often callers may call, and strangers may guess.
//!
//! All of it is counted in the memory of one process. More processes let through proportionally more, and
//! a restart begins anew. That is enough against guesses: a secret has 256 bits.

use std::net::IpAddr;
use std::time::Duration;

use better_auth_webhooks::{RateLimitConfig, RateLimiter};
use webhooks_core::Timestamp;

use super::window::Window;
use crate::problem::Problem;

/// Bad keys of one address, and of all together, in a minute.
const BAD_KEYS_OF_ONE: u32 = 5;
const BAD_KEYS_OF_ALL: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Challenges or tests of all endpoints within a stretch.
const MOST: u32 = 10_000;

/// Requests a second, and at once, of callers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Of those who run the system.
    pub(crate) operators: RateLimitConfig,
    /// Of those of a tenant.
    pub(crate) tenants: RateLimitConfig,
}

/// How often each caller has called of late, and strangers have guessed: in this process.
#[derive(Debug)]
pub(crate) struct Limits {
    rates: Rates,
    callers: RateLimiter,
    bad_keys: Window,
    /// Challenges of one endpoint.
    pub(crate) challenges: Window,
    /// Tests of one tenant, within a second and within an hour.
    tests: [Window; 2],
}

impl Limits {
    /// Limits under which nobody has called yet.
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            rates,
            callers: RateLimiter::new(None),
            bad_keys: Window::new(MINUTE, BAD_KEYS_OF_ONE, BAD_KEYS_OF_ALL),
            challenges: Window::new(Duration::from_secs(10), 1, MOST),
            tests: [
                Window::new(Duration::from_secs(1), 1, MOST),
                Window::new(Duration::from_secs(3_600), 30, MOST),
            ],
        }
    }

    /// Takes a token of this caller's bucket.
    ///
    /// # Errors
    ///
    /// 429 `too-many-requests`, with the time until the bucket has a token again.
    pub(crate) fn take(&self, actor: &str, is_tenant: bool, now: Timestamp) -> Result<(), Problem> {
        let rate = match is_tenant {
            true => self.rates.tenants,
            false => self.rates.operators,
        };
        let taken = self.callers.acquire(actor, rate, now);
        taken.map_err(|at| Problem::too_many_requests(at.since(now)))
    }

    /// Refuses a request with a key that is not known yet, from where too many bad ones came.
    pub(crate) fn may_guess(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Problem> {
        self.bad_keys.check(from.map(network).as_deref(), now)
    }

    /// Takes note of a bad key.
    pub(crate) fn bad_key(&self, from: Option<IpAddr>, now: Timestamp) {
        self.bad_keys.count(from.map(network).as_deref(), now);
    }

    /// Refuses a test of a tenant that has had too many of late.
    pub(crate) fn test(&self, tenant: &str, now: Timestamp) -> Result<(), Problem> {
        self.tests
            .iter()
            .try_for_each(|window| window.take(tenant, now))
    }
}

/// Whose address it is: one of version 6 for all of its network, of which one host has all.
fn network(from: IpAddr) -> String {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_too_often_waits_and_others_do_not() {
        let rate = RateLimitConfig {
            requests_per_second: 1,
            burst_size: 1,
        };
        let limits = Limits::new(Rates {
            operators: rate,
            tenants: rate,
        });
        let at = Timestamp::from_secs;
        let (one, other) = ("2001:db8::1".parse().ok(), "2001:db8:0:1::1".parse().ok());
        for _ in 0..BAD_KEYS_OF_ONE {
            assert!(limits.may_guess(one, at(100)).is_ok());
            limits.bad_key(one, at(100));
        }
        assert!(
            limits
                .may_guess("2001:db8::2".parse().ok(), at(101))
                .is_err()
        );
        assert!(limits.may_guess(other, at(101)).is_ok());
        assert!(limits.may_guess(one, at(160)).is_ok());
        for _ in 0..BAD_KEYS_OF_ALL {
            limits.bad_key(None, at(160));
        }
        assert!(limits.may_guess(other, at(161)).is_err());
    }
}

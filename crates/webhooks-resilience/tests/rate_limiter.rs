//! The rate limiter against a plain token bucket, and what it keeps in memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use webhooks_core::{Clock, RateLimitConfig, Timestamp, WebhookError};
use webhooks_resilience::RateLimiter;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

const fn limit(requests_per_second: u32, burst_size: u32) -> RateLimitConfig {
    RateLimitConfig {
        requests_per_second,
        burst_size,
    }
}

fn millis(millis: u64) -> Timestamp {
    START.after(Duration::from_millis(millis))
}

#[derive(Debug)]
struct HandClock(Mutex<Timestamp>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_full_bucket_gives_its_burst_and_then_one_token_at_a_time() {
    let limiter = RateLimiter::new(None);
    let limit = limit(10, 3);
    for _ in 0..3 {
        assert_eq!(limiter.acquire("a", limit, START), Ok(()));
    }
    assert_eq!(limiter.acquire("a", limit, START), Err(millis(100)));
    assert_eq!(limiter.acquire("a", limit, millis(99)), Err(millis(100)));
    assert_eq!(limiter.acquire("a", limit, millis(100)), Ok(()));
    assert_eq!(limiter.acquire("a", limit, millis(100)), Err(millis(200)));
}

#[test]
fn each_endpoint_has_its_own_bucket() {
    let limiter = RateLimiter::new(None);
    assert!(limiter.acquire("a", limit(1, 1), START).is_ok());
    assert!(limiter.acquire("a", limit(1, 1), START).is_err());
    assert!(limiter.acquire("b", limit(1, 1), START).is_ok());
}

#[test]
fn a_changed_limit_holds_from_the_next_request() {
    let limiter = RateLimiter::new(None);
    assert!(limiter.acquire("a", limit(1, 1), START).is_ok());
    for _ in 0..5 {
        assert!(limiter.acquire("a", limit(1000, 5), START).is_ok());
    }
    assert_eq!(limiter.acquire("a", limit(1000, 5), START), Err(millis(1)));
}

#[test]
fn a_clock_set_back_does_not_hold_requests_for_the_difference() {
    let limiter = RateLimiter::new(None);
    assert!(limiter.acquire("a", limit(1, 1), START).is_ok());
    let back = START.before(Duration::from_secs(86_400));
    assert!(limiter.acquire("a", limit(1, 1), back).is_ok());
    let second = back.after(Duration::from_secs(1));
    assert_eq!(limiter.acquire("a", limit(1, 1), back), Err(second));
}

#[test]
fn extremes_neither_overflow_nor_panic() {
    for config in [limit(0, 0), limit(1, u32::MAX), limit(u32::MAX, u32::MAX)] {
        for at in [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_millis) {
            let limiter = RateLimiter::new(config);
            for _ in 0..3 {
                if let Err(until) = limiter.acquire("a", config, at) {
                    assert!(until >= at);
                }
            }
        }
    }
}

#[test]
fn idle_buckets_are_dropped_and_those_not_yet_refilled_are_kept() {
    let limiter = RateLimiter::new(None);
    let slow = limit(1, 1_000);
    for _ in 0..1_000 {
        assert!(limiter.acquire("slow", slow, START).is_ok());
    }
    let mut most = 0;
    for n in 0..100_000 {
        // A token comes back within 10 ms, in which a hundred other endpoints are asked for.
        let now = millis(n / 10);
        assert!(
            limiter
                .acquire(&format!("e{n}"), limit(100, 1), now)
                .is_ok()
        );
        most = most.max(limiter.tracked_endpoints());
    }
    assert!(most < 4_000, "{most} buckets were kept");
    for _ in 0..9 {
        assert!(limiter.acquire("slow", slow, millis(9_999)).is_ok());
    }
    assert_eq!(
        limiter.acquire("slow", slow, millis(9_999)),
        Err(millis(10_000))
    );
}

#[tokio::test]
async fn checks_the_default_and_the_limits_of_single_endpoints() {
    let clock = Arc::new(HandClock(Mutex::new(START)));
    let limiter = RateLimiter::new(limit(1, 1)).with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    assert!(limiter.check_rate_limit("a").await.unwrap());
    assert!(!limiter.check_rate_limit("a").await.unwrap());

    limiter.set_limit("b", Some(limit(1, 2))).unwrap();
    assert!(limiter.check_rate_limit("b").await.unwrap());
    assert!(limiter.check_rate_limit("b").await.unwrap());
    assert!(!limiter.check_rate_limit("b").await.unwrap());

    *clock.0.lock().unwrap() = millis(1_000);
    assert!(limiter.check_rate_limit("a").await.unwrap());
    assert!(limiter.check_rate_limit("b").await.unwrap());
    limiter.set_limit("b", None).unwrap();
    assert!(limiter.check_rate_limit("b").await.unwrap());
    assert!(!limiter.check_rate_limit("b").await.unwrap());
}

#[tokio::test]
async fn without_a_limit_every_request_passes() {
    let limiter = RateLimiter::new(None);
    for _ in 0..100 {
        assert!(limiter.check_rate_limit("a").await.unwrap());
    }
    assert_eq!(limiter.tracked_endpoints(), 0);
}

#[tokio::test]
async fn a_limit_out_of_bounds_is_an_error() {
    let error = RateLimiter::new(limit(0, 1)).check_rate_limit("a").await;
    assert!(matches!(error, Err(WebhookError::InvalidConfig(_))));
    let error = RateLimiter::new(None).set_limit("a", Some(limit(1, 0)));
    assert!(matches!(error, Err(WebhookError::InvalidConfig(_))));
}

#[test]
fn many_threads_share_one_burst() {
    let limiter = RateLimiter::new(None);
    let taken: usize = std::thread::scope(|scope| {
        let ask = || {
            let asks = 0..1_000;
            asks.filter(|_| limiter.acquire("a", limit(1, 100), START).is_ok())
                .count()
        };
        let threads = [(); 8].map(|()| scope.spawn(ask));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(taken, 100);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_agrees_with_a_plain_token_bucket(
        config in (1_u32..2_000, 1_u32..20).prop_map(|(rate, burst)| limit(rate, burst)),
        waits in prop::collection::vec(prop_oneof![4 => 0_u64..3, 1 => 0_u64..3_000], 0..300),
    ) {
        // Counted in nanoseconds of refilling, so that the model is exact.
        let token = 1_000_000_000 / u64::from(config.requests_per_second);
        let full = token * u64::from(config.burst_size);
        let (mut level, mut now) = (full, START);
        let limiter = RateLimiter::new(None);
        for wait in waits {
            now = now.after(Duration::from_millis(wait));
            level = full.min(level + wait * 1_000_000);
            let expected = if level >= token {
                level -= token;
                Ok(())
            } else {
                Err(now.after(Duration::from_nanos(token - level)))
            };
            prop_assert_eq!(limiter.acquire("a", config, now), expected);
        }
    }
}

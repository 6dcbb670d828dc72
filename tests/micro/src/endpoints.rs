//! What grows with the number of endpoints, and must not.

use std::hint::black_box;
use std::sync::Arc;

use webhooks_core::{
    Admission, AdmissionDecision, CircuitBreakerConfig, EventFilter, FilterIndex, RateLimitConfig,
    Timestamp, Verdict,
};
use webhooks_resilience::ResilienceAdmission;

use crate::{Error, Step};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

/// An event that none of so many endpoints wants, of which every second one asks for all below a
/// prefix.
pub(crate) fn unmatched(endpoints: usize) -> Result<Step, Error> {
    let mut index = FilterIndex::new();
    for n in 0..endpoints {
        let pattern = match n % 2 {
            0 => format!("order_{n}.created"),
            _ => format!("order_{n}.*"),
        };
        index.insert(None, &EventFilter::new(&pattern)?, n);
    }
    let found = index.matches(None, "user.profile.created");
    if !found.is_empty() {
        return Err("an event was matched that nobody asked for".into());
    }
    Ok(Box::new(move || {
        black_box(index.matches(black_box(None), black_box("user.profile.created")));
    }))
}

/// One request that succeeds, under circuit breakers of so many endpoints, each with a failure.
pub(crate) fn breaker(endpoints: usize) -> Result<Step, Error> {
    gated(endpoints, None)
}

/// The same with a rate limit besides.
pub(crate) fn limiter(endpoints: usize) -> Result<Step, Error> {
    let limit = RateLimitConfig {
        requests_per_second: 1_000,
        burst_size: 1_000,
    };
    gated(endpoints, Some(limit))
}

fn gated(endpoints: usize, limit: Option<RateLimitConfig>) -> Result<Step, Error> {
    let admission = ResilienceAdmission::new(CircuitBreakerConfig::default());
    let ids: Vec<Arc<str>> = (0..endpoints)
        .map(|n| format!("endpoint_{n}").into())
        .collect();
    for id in &ids {
        request(&admission, id, limit, NOW, Verdict::Failed);
    }
    let mut turn = 0;
    Ok(Box::new(move || {
        // As far apart as the turns of different endpoints are, and later each time, so that there
        // is always a token.
        turn += 1;
        if let Some(id) = ids.get(turn * 7_919 % ids.len()) {
            let now = Timestamp::from_millis(NOW.as_millis() + i64::try_from(turn).unwrap_or(0));
            request(&admission, id, limit, now, Verdict::Alive);
        }
    }))
}

fn request(
    admission: &ResilienceAdmission,
    id: &str,
    limit: Option<RateLimitConfig>,
    now: Timestamp,
    verdict: Verdict,
) {
    if let AdmissionDecision::Go(permit) = admission.admit(black_box(id), limit, now) {
        black_box(permit.settle(verdict, now));
    }
}

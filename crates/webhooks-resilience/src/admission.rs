//! Circuit breaker and rate limit behind the seam that the dispatcher asks.
//!
//! The breaker is asked first and gives its permit back when no token is left, so that a limited
//! endpoint never uses up its probes, and an open circuit costs no token.

use webhooks_core::{
    Admission, AdmissionDecision, Circuit, CircuitBreakerConfig, HeldBy, RateLimitConfig, Timestamp,
};

use crate::endpoint_map::EndpointMap;
use crate::{CircuitBreaker, RateLimiter};

/// The [`Admission`] of one process: a [`CircuitBreaker`] and a token bucket per endpoint.
///
/// An endpoint without a failure needs no memory of its own once its requests are settled.
#[derive(Debug)]
pub struct ResilienceAdmission {
    config: CircuitBreakerConfig,
    breakers: EndpointMap<CircuitBreaker>,
    limiter: RateLimiter,
}

impl ResilienceAdmission {
    /// One whose breakers are all made with `config`. It limits only those requests that
    /// [`Admission::admit`] is given a limit for.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            config,
            breakers: EndpointMap::new(),
            limiter: RateLimiter::new(None),
        }
    }

    /// How many endpoints a circuit breaker is kept for: those that fail, have a request in flight
    /// or lately had one.
    #[must_use]
    pub fn tracked_endpoints(&self) -> usize {
        self.breakers.len()
    }
}

impl Admission for ResilienceAdmission {
    fn admit(
        &self,
        endpoint_id: &str,
        rate_limit: Option<RateLimitConfig>,
        now: Timestamp,
    ) -> AdmissionDecision {
        let permit = self.breakers.entry(
            endpoint_id,
            now,
            || CircuitBreaker::new(self.config),
            |breaker| breaker.try_acquire(now),
        );
        let permit = match permit {
            Ok(permit) => permit,
            Err(until) => return wait(until, HeldBy::Circuit),
        };
        let token = rate_limit.map_or(Ok(()), |limit| {
            self.limiter.acquire(endpoint_id, limit, now)
        });
        match token {
            Ok(()) => AdmissionDecision::Go(Box::new(permit)),
            Err(until) => wait(until, HeldBy::RateLimit),
        }
    }

    fn circuit(&self, endpoint_id: &str, now: Timestamp) -> Circuit {
        self.breakers
            .get(endpoint_id, |breaker| breaker.circuit(now))
            .unwrap_or_default()
    }

    /// Requests in flight no longer count. The rate limit stays as it is, so that to change an
    /// endpoint does not get it a second burst.
    fn forget(&self, endpoint_id: &str) {
        if let Some(breaker) = self.breakers.remove(endpoint_id) {
            breaker.reset();
        }
    }
}

const fn wait(until: Timestamp, because: HeldBy) -> AdmissionDecision {
    AdmissionDecision::Wait { until, because }
}

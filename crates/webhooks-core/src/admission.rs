//! The seam between the scheduler and what holds an endpoint's requests back.

use std::fmt::Debug;

use crate::named::named;
use crate::{Circuit, RateLimitConfig, Timestamp};

/// Decides, per endpoint, whether a request may start now: circuit breaker and rate limit.
///
/// It is asked under a lock of the scheduler: it answers at once, waits for nothing and does not
/// panic.
pub trait Admission: Debug + Send + Sync + 'static {
    /// Asks for one request. [`AdmissionDecision::Go`] has taken a token and, while half-open, a
    /// probe.
    ///
    /// `rate_limit` is `None` when none is set or when the storage keeps it.
    fn admit(
        &self,
        endpoint_id: &str,
        rate_limit: Option<RateLimitConfig>,
        now: Timestamp,
    ) -> AdmissionDecision;

    /// The circuit of an endpoint; closed if nothing is known of it.
    fn circuit(&self, endpoint_id: &str, now: Timestamp) -> Circuit;

    /// Drops what is kept for an endpoint, because it was deleted, changed or enabled again.
    fn forget(&self, endpoint_id: &str);
}

/// What [`Admission`] decides.
#[derive(Debug)]
pub enum AdmissionDecision {
    /// The request may start.
    Go(Box<dyn Permit>),
    /// Nothing was taken; it is worth asking again at `until`.
    Wait {
        /// When a token is there, or the circuit becomes half-open.
        until: Timestamp,
        /// What holds the request back.
        because: HeldBy,
    },
}

/// What holds a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeldBy {
    /// No token is left.
    RateLimit,
    /// The circuit is open, or half-open with all its probes in flight.
    Circuit,
}

named!(HeldBy, "hold", {
    RateLimit => "rate_limit",
    Circuit => "circuit",
});

/// The right to start one request. Dropped without a verdict, it gives its probe back.
pub trait Permit: Debug + Send + Sync {
    /// Tells what came of the request; answers with the circuit if that changed its state.
    fn settle(self: Box<Self>, verdict: Verdict, now: Timestamp) -> Option<Circuit>;
}

/// What an attempt says about the endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It responds, though perhaps with a refusal.
    Alive,
    /// It does not, or only with 429 and 5xx.
    Failed,
}

//! What keeps the system gentle: a circuit breaker and a rate limiter per endpoint.
//!
//! [`ResilienceAdmission`] puts both together behind the seam that the scheduler asks,
//! [`webhooks_core::Admission`]. Time is always passed in, but for [`RateLimiter::check_rate_limit`],
//! which asks a clock. Nothing here starts a task or does I/O, and what is kept for endpoints that
//! are well and idle is dropped again, so that memory follows the number of busy or failing ones.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
mod circuit_breaker;
mod endpoint_map;
mod rate_limiter;
mod system_clock;
mod token_bucket;

pub use self::admission::ResilienceAdmission;
pub use self::circuit_breaker::{CircuitBreaker, CircuitPermit};
pub use self::rate_limiter::RateLimiter;
pub use self::system_clock::SystemClock;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

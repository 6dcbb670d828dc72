//! When an endpoint that fails is left alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::{Result, Timestamp, WebhookError, whole};

/// The longest time that a circuit stays open, in seconds: one day.
///
/// A circuit that is open by mistake delays what waits by no more than that.
const LONGEST_OPEN: u64 = 86_400;

/// When the circuit of an endpoint opens, and how it closes again.
///
/// Which results count as failures is
/// [`FailureKind::trips_circuit`](crate::FailureKind::trips_circuit).
///
/// ```
/// use webhooks_core::CircuitBreakerConfig;
///
/// let config = CircuitBreakerConfig { failure_threshold: 10, ..CircuitBreakerConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open the circuit. Defaults to 5; at least 1.
    pub failure_threshold: u32,
    /// Successes that close the half-open circuit. Defaults to 2; at least 1.
    pub success_threshold: u32,
    /// How long the circuit stays open, in seconds. Defaults to 60; 1 to 86,400.
    pub timeout_seconds: u64,
    /// Requests in flight at most while half-open. Defaults to 3; at least 1.
    pub half_open_max_requests: u32,
}

impl CircuitBreakerConfig {
    /// The same with this [`timeout_seconds`](Self::timeout_seconds), in whole seconds, rounded up.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_seconds = whole::seconds(timeout);
        self
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the field.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("failure_threshold", self.failure_threshold),
            ("success_threshold", self.success_threshold),
            ("half_open_max_requests", self.half_open_max_requests),
        ];
        for (name, value) in counts {
            if value == 0 {
                return Err(WebhookError::InvalidConfig(
                    format!("circuit breaker: {name} is 0, it needs at least 1").into(),
                ));
            }
        }
        if !(1..=LONGEST_OPEN).contains(&self.timeout_seconds) {
            return Err(WebhookError::InvalidConfig(
                format!(
                    "circuit breaker: timeout_seconds is {}, it needs 1 to {LONGEST_OPEN}",
                    self.timeout_seconds
                )
                .into(),
            ));
        }
        Ok(())
    }
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            success_threshold: 2,
            timeout_seconds: 60,
            half_open_max_requests: 3,
        }
    }
}

/// What a circuit lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Everything.
    #[default]
    Closed,
    /// Nothing, until its time is over.
    Open,
    /// A few requests, whose results decide.
    HalfOpen,
}

named!(CircuitState, "circuit state", {
    Closed => "closed",
    Open => "open",
    HalfOpen => "half_open",
});

/// The circuit of one endpoint as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Circuit {
    /// What it lets through.
    pub state: CircuitState,
    /// When an open circuit becomes half-open.
    pub reopens_at: Option<Timestamp>,
}

impl Circuit {
    /// A circuit in this state, which becomes half-open at that time if it is open.
    #[must_use]
    pub const fn new(state: CircuitState, reopens_at: Option<Timestamp>) -> Self {
        Self { state, reopens_at }
    }
}

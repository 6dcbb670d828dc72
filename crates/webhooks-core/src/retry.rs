//! When a failed delivery is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Result, WebhookError, whole};

/// The longest delay between two attempts: 30 days, in milliseconds.
///
/// The same bound as that of a delay before the first attempt.
const LONGEST_DELAY: u64 = 30 * 24 * 3_600_000;

/// The most retries of one delivery.
///
/// Far beyond any use; it keeps a typing error from becoming an endless row of requests.
pub(crate) const MAX_RETRIES: u32 = 1_000;

/// The schedule of retries: exponential backoff with jitter.
///
/// With the defaults, twelve attempts spread over about 29 hours.
///
/// ```
/// use std::time::Duration;
/// use webhooks_core::RetryStrategy;
///
/// let strategy = RetryStrategy::default();
/// let first = strategy.calculate_delay(0);
/// assert!(first >= Duration::from_millis(4_500) && first <= Duration::from_millis(5_500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryStrategy {
    /// Retries after the first attempt. Defaults to 11; at most 1,000.
    pub max_retries: u32,
    /// Delay before the first retry, in milliseconds. Defaults to 5,000.
    pub initial_delay_ms: u64,
    /// Longest delay, in milliseconds, before jitter. Defaults to 8 h; at most 30 days.
    pub max_delay_ms: u64,
    /// Growth of the delay from one retry to the next. Defaults to 3; at least 1.
    pub backoff_multiplier: f64,
}

impl RetryStrategy {
    /// The same with this [`initial_delay_ms`](Self::initial_delay_ms), in whole milliseconds,
    /// rounded up.
    #[must_use]
    pub fn with_initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay_ms = whole::millis(delay);
        self
    }

    /// The same with this [`max_delay_ms`](Self::max_delay_ms), in whole milliseconds, rounded up.
    #[must_use]
    pub fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay_ms = whole::millis(delay);
        self
    }

    /// The delay before the retry that follows `attempt` earlier retries:
    /// `initial_delay_ms * backoff_multiplier^attempt`, capped at `max_delay_ms`, then plus or
    /// minus up to 10 % at random. Attempt 0 gives the delay before the first retry.
    ///
    /// Never panics and never overflows, whatever the fields hold.
    #[must_use]
    pub fn calculate_delay(&self, attempt: u32) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a delay needs no more than 53 bits"
        )]
        let (initial, cap) = (self.initial_delay_ms as f64, self.max_delay_ms as f64);
        let growth = self.backoff_multiplier.powf(f64::from(attempt));
        // Zero times infinity, a NaN and a negative multiplier give no usable delay: the cap is
        // the answer that hurts the endpoint least.
        let delay = initial * growth;
        let delay = if delay.is_nan() || delay < 0.0 {
            cap
        } else {
            delay.min(cap)
        };
        // Jitter spreads the retries of what failed together; without it, an endpoint that comes
        // back gets them all in one moment.
        let jitter = 0.9 + 0.2 * fastrand::f64();
        Duration::try_from_secs_f64(delay * jitter / 1_000.0).unwrap_or(Duration::MAX)
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the field.
    pub fn validate(&self) -> Result<()> {
        let refuse = |text: String| Err(WebhookError::InvalidConfig(text.into()));
        if self.max_retries > MAX_RETRIES {
            return refuse(format!(
                "retry strategy: max_retries is {}, at most {MAX_RETRIES}",
                self.max_retries
            ));
        }
        if self.max_delay_ms > LONGEST_DELAY {
            return refuse(format!(
                "retry strategy: max_delay_ms is {}, at most {LONGEST_DELAY}",
                self.max_delay_ms
            ));
        }
        if self.initial_delay_ms > self.max_delay_ms {
            return refuse(format!(
                "retry strategy: initial_delay_ms is {}, at most max_delay_ms, {}",
                self.initial_delay_ms, self.max_delay_ms
            ));
        }
        // Written so that a NaN is refused too, of which no comparison is true.
        if !(self.backoff_multiplier.is_finite() && self.backoff_multiplier >= 1.0) {
            return refuse(format!(
                "retry strategy: backoff_multiplier is {}, it needs a finite number of at least 1",
                self.backoff_multiplier
            ));
        }
        Ok(())
    }
}

impl Default for RetryStrategy {
    fn default() -> Self {
        Self {
            max_retries: 11,
            initial_delay_ms: 5_000,
            max_delay_ms: 8 * 3_600_000,
            backoff_multiplier: 3.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_spans_about_28_hours() {
        let strategy = RetryStrategy::default();
        let total: Duration = (0..11)
            .map(|attempt| strategy.calculate_delay(attempt))
            .sum();
        assert!((25..32).contains(&(total.as_secs() / 3600)), "{total:?}");
    }

    #[test]
    fn grows_by_the_multiplier_within_the_jitter() {
        let strategy = RetryStrategy {
            max_retries: 5,
            initial_delay_ms: 1_000,
            max_delay_ms: 300_000,
            backoff_multiplier: 2.0,
        };
        for (attempt, expected) in [(0, 1_000), (1, 2_000), (5, 32_000), (20, 300_000)] {
            let delay = strategy.calculate_delay(attempt).as_millis();
            assert!(
                (expected * 9 / 10..=expected * 11 / 10).contains(&delay),
                "{delay}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_fields_give_a_delay_under_the_cap_and_its_jitter(
            initial_delay_ms: u64, max_delay_ms: u64, backoff_multiplier: f64, attempt: u32,
        ) {
            let strategy = RetryStrategy {
                max_retries: 1, initial_delay_ms, max_delay_ms, backoff_multiplier,
            };
            let cap = Duration::from_millis(max_delay_ms).as_secs_f64() * 1.1 + 0.001;
            prop_assert!(strategy.calculate_delay(attempt).as_secs_f64() <= cap * (1.0 + 1e-9));
        }
    }
}

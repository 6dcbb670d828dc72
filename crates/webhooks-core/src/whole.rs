//! Durations as the whole numbers that settings hold: parts are rounded up, so that nothing is
//! shorter than it was asked to be.

use std::time::Duration;

/// Whole seconds.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchConfig, CircuitBreakerConfig, RetryStrategy, WebhookEndpoint};

    #[test]
    fn parts_are_rounded_up_and_nothing_overflows() {
        let nanos = Duration::from_nanos;
        for (nanos, whole) in [(0, 0), (1, 1), (1_000_000_000, 1), (1_000_000_001, 2)] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), whole);
        }
        assert_eq!((millis(nanos(0)), millis(nanos(1))), (0, 1));
        assert_eq!(millis(nanos(2_000_000)), 2);
        assert_eq!(
            (seconds(Duration::MAX), millis(Duration::MAX)),
            (u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn a_duration_is_held_to_the_bounds_of_the_number() {
        let minute = Duration::from_secs(60);
        let retries = RetryStrategy::default()
            .with_initial_delay(minute)
            .with_max_delay(minute);
        assert_eq!(
            (retries.initial_delay_ms, retries.max_delay_ms),
            (60_000, 60_000)
        );
        retries.validate().unwrap();
        let error = retries
            .with_max_delay(Duration::ZERO)
            .validate()
            .unwrap_err();
        assert!(
            error.to_string().contains("initial_delay_ms is 60000"),
            "{error}"
        );
        let error = retries
            .with_max_delay(Duration::MAX)
            .validate()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("max_delay_ms is 18446744073709551615"),
            "{error}"
        );

        let circuit = CircuitBreakerConfig::default();
        assert_eq!(circuit.with_timeout(minute).timeout_seconds, 60);
        let error = circuit.with_timeout(Duration::ZERO).validate().unwrap_err();
        assert!(
            error.to_string().contains("timeout_seconds is 0"),
            "{error}"
        );

        let batch = BatchConfig {
            max_events: 1,
            max_wait_ms: 0,
            max_bytes: 1,
        };
        assert_eq!(batch.with_max_wait(minute).max_wait_ms, 60_000);
        let error = batch.with_max_wait(minute * 2).validate().unwrap_err();
        assert!(
            error.to_string().contains("max_wait_ms is 120000"),
            "{error}"
        );

        let endpoint = WebhookEndpoint::default().with_timeout(Duration::from_millis(1_500));
        assert_eq!(endpoint.timeout_seconds, 2);
    }
}

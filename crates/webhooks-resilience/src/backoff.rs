//! Retries of our own storage calls while the storage is away. The schedule of deliveries is not
//! here: it is a pure function, [`webhooks_core::RetryStrategy`].

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use webhooks_core::{Result, WebhookError};

/// The wait before the first retry, which each further one makes longer by half.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(5);

/// Calls `op` until it succeeds or fails for good.
///
/// Transient errors ([`WebhookError::is_transient`]) are retried after 50 ms and then ever longer,
/// up to 5 s, give or take half. `what` names the call in the log, where each retry is a warning.
/// No retry starts later than `max_elapsed` after the call; `None` goes on for ever.
///
/// # Errors
///
/// The first error that is not transient, or the last one when `max_elapsed` is over.
///
/// # Panics
///
/// When a wait is due and there is no Tokio runtime with a timer.
pub async fn retry_transient<T, F, Fut>(
    what: &str,
    max_elapsed: Option<Duration>,
    op: F,
) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let schedule = ExponentialBackoffBuilder::new()
        .with_initial_interval(FIRST)
        .with_max_interval(LONGEST)
        .with_max_elapsed_time(max_elapsed)
        .build();
    // `op` is called by the future, because backoff makes the next one before it waits.
    let attempt = || async { op().await.map_err(classify) };
    let warn = |error: WebhookError, wait: Duration| {
        tracing::warn!(what, %error, ?wait, "transient failure, trying again");
    };
    backoff::future::retry_notify(schedule, attempt, warn).await
}

fn classify(error: WebhookError) -> backoff::Error<WebhookError> {
    if error.is_transient() {
        backoff::Error::transient(error)
    } else {
        backoff::Error::permanent(error)
    }
}

//! Retries of storage calls, on Tokio's paused clock.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use webhooks_core::{Result, WebhookError};
use webhooks_resilience::retry_transient;

fn lost() -> WebhookError {
    WebhookError::transient_storage("connection lost", std::io::Error::other("reset"))
}

#[tokio::test(start_paused = true)]
async fn transient_errors_are_retried_until_it_succeeds() {
    let calls = Cell::new(0);
    let started = Instant::now();
    let result = retry_transient("connect", None, || {
        calls.set(calls.get() + 1);
        let call = calls.get();
        async move { if call < 20 { Err(lost()) } else { Ok(call) } }
    });
    assert_eq!(result.await.unwrap(), 20);
    // Nineteen waits: from 50 ms, half as long again each time, to 5 s, give or take half.
    assert!(started.elapsed() > Duration::from_secs(20));
    assert!(started.elapsed() < Duration::from_secs(19 * 8));
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_returned_at_once() {
    let calls = Cell::new(0);
    let result: Result<()> = retry_transient("connect", None, || {
        calls.set(calls.get() + 1);
        async { Err(WebhookError::InvalidConfig("no such database".into())) }
    })
    .await;
    assert!(matches!(result, Err(WebhookError::InvalidConfig(_))));
    assert_eq!(calls.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_with_the_last_error_when_the_time_is_over() {
    let calls = Cell::new(0);
    let result: Result<()> = retry_transient("connect", Some(Duration::ZERO), || {
        calls.set(calls.get() + 1);
        async { Err(lost()) }
    })
    .await;
    assert!(result.unwrap_err().is_transient());
    assert_eq!(calls.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_called_after_its_wait_and_on_any_thread() {
    let started = Instant::now();
    let retry = tokio::spawn(retry_transient("connect", None, move || async move {
        let waited = started.elapsed();
        if waited.is_zero() {
            Err(lost())
        } else {
            Ok(waited)
        }
    }));
    // The first wait is 50 ms, give or take half.
    assert!(retry.await.unwrap().unwrap() >= Duration::from_millis(25));
}

//! What telemetry says of a system, against what was sent and received.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

mod counted;
mod openmetrics;
mod told;
mod traces;

use std::time::Duration;

use better_auth_webhooks::{
    CircuitBreakerConfig, NetworkPolicy, RetryStrategy, WebhookEndpoint, WebhookSystem,
    WebhookSystemBuilder,
};
use webhooks_tests::Receiver;

const SOON: Duration = Duration::from_secs(30);

/// A system that retries twice and soon, on any network, and never leaves an endpoint alone.
fn builder() -> WebhookSystemBuilder {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 1_000_000,
            ..Default::default()
        })
        .retry_strategy(RetryStrategy {
            max_retries: 2,
            initial_delay_ms: 10,
            max_delay_ms: 10,
            backoff_multiplier: 1.0,
        })
}

/// An endpoint that takes the events of its name.
fn endpoint(id: &str, receiver: &Receiver) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: receiver.url(),
        secret: "a secret".into(),
        events: vec![format!("{id}.*")],
        ..Default::default()
    }
}

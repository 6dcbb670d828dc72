//! What is out of its bounds is refused before anything is stored, by an error that names the field
//! and the bound.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]
#![expect(clippy::too_many_lines, reason = "tables of cases are long")]

use std::time::Duration;

use better_auth_webhooks::storage::{MemoryLimits, MemoryStorage};
use better_auth_webhooks::{
    BatchConfig, CircuitBreakerConfig, NetworkPolicy, OutgoingEvent, PreviousSecret,
    RateLimitConfig, RetryStrategy, SignatureScheme, Timestamp, WebhookEndpoint, WebhookError,
    WebhookSystem, WebhookSystemBuilder,
};
use serde::ser::Error as _;
use serde_json::json;

const SECRET: &str = "hunter2hunter2";

fn endpoint() -> WebhookEndpoint {
    WebhookEndpoint {
        id: "a".into(),
        url: "https://hooks.example.com/in".into(),
        secret: SECRET.into(),
        events: vec!["*".into()],
        ..Default::default()
    }
}

async fn assert_nothing_is_stored(system: &WebhookSystem) {
    assert!(system.list_endpoints().await.unwrap().is_empty());
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 0);
}

type Change = fn(&mut WebhookEndpoint);

fn with_header(endpoint: &mut WebhookEndpoint, name: &str, value: &str) {
    endpoint.headers.insert(name.into(), value.into());
}

#[tokio::test]
async fn a_wrong_field_of_an_endpoint_is_named_with_its_bound() {
    let cases: Vec<(Change, &str)> = vec![
        (|e| e.id.clear(), "id has 0 bytes, it needs 1 to 256"),
        (
            |e| e.id = "x".repeat(257),
            "id has 257 bytes, it needs 1 to 256",
        ),
        (|e| e.id = "a b".into(), "id holds a space"),
        (
            |e| (e.tenant, e.timeout_seconds) = (Some("t".into()), 121),
            "timeout_seconds is 121, at most 120 for an endpoint with a tenant",
        ),
        (
            |e| e.timeout_seconds = 3_601,
            "timeout_seconds has 3601 seconds, it needs 0 to 3600",
        ),
        (
            |e| e.accepted_statuses = vec![410],
            "accepted_statuses has 410, it needs 300 to 599 without 410",
        ),
        (|e| e.content_type = Some("x".into()), "content_type"),
        (
            |e| e.user_agent = Some(String::new()),
            "user_agent has 0 bytes",
        ),
        (|e| e.url.clear(), "url has 0 bytes"),
        (
            |e| e.url = format!("https://a.example/{}", "x".repeat(2_048)),
            "2048",
        ),
        (|e| e.url = "http://hooks.example.com/".into(), "http"),
        (|e| e.url = "ftp://hooks.example.com/".into(), "url"),
        (|e| e.url = "https://localhost/".into(), "localhost"),
        (|e| e.url = "https://127.0.0.1/".into(), "url"),
        (|e| e.url = "https://169.254.169.254/".into(), "url"),
        (|e| e.url = "https://hooks.example.com:6379/".into(), "6379"),
        (|e| e.url = "https://u:p@hooks.example.com/".into(), "url"),
        (|e| e.url = "https://hooks.example.com/#x".into(), "url"),
        (|e| e.url = "https://hooks.example.com/ x".into(), "url"),
        (
            |e| e.secret.clear(),
            "secret has 0 bytes, it needs 1 to 1024",
        ),
        (|e| e.secret = "x".repeat(1_025), "secret has 1025 bytes"),
        (|e| e.signature = SignatureScheme::Standard, "secret"),
        (
            |e| e.events.clear(),
            "events has 0 filters, it needs 1 to 256",
        ),
        (
            |e| e.events = vec!["a".into(); 257],
            "events has 257 filters",
        ),
        (|e| e.events = vec!["user.*.x".into()], "\"user.*.x\""),
        (|e| e.events = vec!["a".into(), "b c".into()], "\"b c\""),
        (
            |e| e.timeout_seconds = 3_601,
            "timeout_seconds has 3601 seconds, it needs 0 to 3600",
        ),
        (|e| e.tenant = Some(String::new()), "tenant has 0 bytes"),
        (
            |e| with_header(e, "a b", "x"),
            "\"a b\" is not a header name",
        ),
        (
            |e| with_header(e, "X-A", "x\r\nHost: y"),
            "\"X-A\" has a value",
        ),
        (
            |e| with_header(e, "X-A", &"x".repeat(4_097)),
            "4097 bytes, at most 4096",
        ),
        (|e| with_header(e, "Host", "x"), "\"Host\" is reserved"),
        (
            |e| with_header(e, "X-Webhook-Id", "x"),
            "\"X-Webhook-Id\" is reserved",
        ),
        (|e| with_header(e, "Transfer-Encoding", "x"), "reserved"),
        (
            |e| (0..65).for_each(|n| with_header(e, &format!("x-{n}"), "x")),
            "headers has 65 headers, it needs 0 to 64",
        ),
        (
            |e| {
                e.rate_limit = Some(RateLimitConfig {
                    requests_per_second: 0,
                    burst_size: 1,
                });
            },
            "requests_per_second is 0, it needs 1 to 1000000",
        ),
        (
            |e| {
                e.batch = Some(BatchConfig {
                    max_events: 0,
                    max_wait_ms: 0,
                    max_bytes: 1,
                });
            },
            "max_events is 0, it needs 1 to 1000",
        ),
        (
            |e| {
                let previous = PreviousSecret {
                    secret: SECRET.into(),
                    expires_at: Timestamp::EPOCH,
                };
                e.previous_secrets = vec![previous; 5];
            },
            "previous_secrets has 5 secrets, it needs 0 to 4",
        ),
    ];
    let system = WebhookSystem::new(MemoryStorage::new());
    for (change, expected) in cases {
        let mut wrong = endpoint();
        change(&mut wrong);
        let error = system.register_endpoint(wrong).await.expect_err(expected);
        let text = error.to_string();
        assert!(
            text.to_lowercase().contains(&expected.to_lowercase()),
            "{text}"
        );
        assert!(!text.contains(SECRET), "{text}");
        let is_clear = matches!(
            error,
            WebhookError::InvalidEndpoint(_)
                | WebhookError::InvalidFilter(_)
                | WebhookError::InvalidConfig(_)
        );
        assert!(is_clear && !error.is_transient(), "{error:?}");
    }
    assert_nothing_is_stored(&system).await;
}

#[tokio::test]
async fn an_update_is_checked_like_a_registration_and_changes_nothing_when_refused() {
    let system = WebhookSystem::new(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    let wrong = WebhookEndpoint {
        url: "https://localhost/".into(),
        ..endpoint()
    };
    system.update_endpoint(wrong).await.unwrap_err();
    let error = system
        .rotate_secret("a", "", Duration::ZERO)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("secret has 0 bytes"), "{error}");
    assert!(system.get_endpoint("a").await.unwrap().unwrap() == endpoint());
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_bound() {
    type Set = fn(WebhookSystemBuilder) -> WebhookSystemBuilder;
    fn retries(change: fn(&mut RetryStrategy)) -> RetryStrategy {
        let mut strategy = RetryStrategy::default();
        change(&mut strategy);
        strategy
    }
    fn circuit(change: fn(&mut CircuitBreakerConfig)) -> CircuitBreakerConfig {
        let mut config = CircuitBreakerConfig::default();
        change(&mut config);
        config
    }
    fn rate(requests_per_second: u32, burst_size: u32) -> RateLimitConfig {
        RateLimitConfig {
            requests_per_second,
            burst_size,
        }
    }
    let cases: Vec<(Set, &str)> = vec![
        (
            |b| b.timeout_seconds(0),
            "timeout_seconds is 0, it needs 1 to 3600",
        ),
        (|b| b.timeout_seconds(3_601), "timeout_seconds is 3601"),
        (
            |b| b.timeout(Duration::from_millis(999)),
            "timeout_seconds is 0.999, it needs 1 to 3600",
        ),
        (
            |b| b.timeout(Duration::from_millis(3_600_001)),
            "timeout_seconds is 3600.001, it needs 1 to 3600",
        ),
        (
            |b| b.max_tenant_timeout(Duration::ZERO),
            "max_tenant_timeout_seconds is 0, it needs 1 to 3600",
        ),
        (
            |b| b.rate_limit(rate(0, 1)),
            "requests_per_second is 0, it needs 1",
        ),
        (|b| b.rate_limit(rate(1, 0)), "burst_size is 0, it needs 1"),
        (
            |b| b.retry_strategy(retries(|r| r.backoff_multiplier = f64::NAN)),
            "backoff_multiplier is NaN",
        ),
        (
            |b| b.retry_strategy(retries(|r| r.backoff_multiplier = 0.5)),
            "backoff_multiplier is 0.5, it needs a finite number of at least 1",
        ),
        (
            |b| b.retry_strategy(retries(|r| r.max_retries = 1_001)),
            "max_retries is 1001, at most 1000",
        ),
        (
            |b| b.retry_strategy(retries(|r| r.max_delay_ms = u64::MAX)),
            "max_delay_ms",
        ),
        (
            |b| b.retry_strategy(retries(|r| r.max_delay_ms = 1)),
            "initial_delay_ms is 5000",
        ),
        (
            |b| b.circuit_breaker(circuit(|c| c.failure_threshold = 0)),
            "failure_threshold is 0",
        ),
        (
            |b| b.circuit_breaker(circuit(|c| c.success_threshold = 0)),
            "success_threshold is 0",
        ),
        (
            |b| b.circuit_breaker(circuit(|c| c.timeout_seconds = 0)),
            "timeout_seconds is 0",
        ),
        (
            |b| b.circuit_breaker(circuit(|c| c.half_open_max_requests = 0)),
            "half_open_max_requests is 0",
        ),
        (|b| b.max_in_flight(0), "max_in_flight is 0, it needs 1"),
        (
            |b| b.max_in_flight_per_endpoint(0),
            "max_in_flight_per_endpoint is 0, it needs 1",
        ),
        (|b| b.workers(1_025), "workers is 1025, it needs 0 to 1024"),
        (|b| b.max_body_bytes(0), "max_body_bytes is 0, it needs 256"),
        (
            |b| b.auto_disable_after(Duration::ZERO),
            "auto_disable_after is 0",
        ),
    ];
    for (set, expected) in cases {
        let error = set(WebhookSystem::builder())
            .try_build(MemoryStorage::new())
            .expect_err(expected);
        assert!(matches!(error, WebhookError::InvalidConfig(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A value that cannot be written as JSON, with a message that quotes it.
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(SECRET))
    }
}

#[tokio::test]
async fn a_wrong_event_is_refused_and_nothing_is_stored() {
    let system = WebhookSystem::new(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    let event = |event_type: &str| system.webhook(event_type);
    let large = "x".repeat(256 << 10);
    let types = [
        ("", "event type is empty, it needs 1 to 256 characters"),
        ("user..created", "empty segment"),
        ("user created", "' '"),
        ("user.*", "'*'"),
    ];
    for (wrong, expected) in types {
        let error = system.send_webhook(wrong, json!({})).await.unwrap_err();
        assert!(matches!(error, WebhookError::InvalidEvent(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let long = "x".repeat(257);
    let answers = [
        (
            event(&long).send().await,
            "event type is 257 characters, at most 256",
        ),
        (
            event("a").data(&large).send().await,
            "longer than 262144 bytes",
        ),
        (
            event("a").tenant("").send().await,
            "tenant has 0 bytes, it needs 1 to 256",
        ),
        (
            event("a").tenant(&long).send().await,
            "tenant has 257 bytes",
        ),
        (
            event("a").idempotency_key("").send().await,
            "idempotency key has 0 bytes",
        ),
        (
            event("a")
                .delay(Duration::from_secs(2_592_001))
                .send()
                .await,
            "delay is 2592001 s, it needs 0 to 2592000",
        ),
    ];
    for (answer, expected) in answers {
        let error = answer.expect_err(expected);
        assert!(matches!(error, WebhookError::InvalidEvent(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = event("a").endpoint("nobody").send().await.unwrap_err();
    assert!(
        matches!(error, WebhookError::EndpointNotFound(_)),
        "{error:?}"
    );
    assert!(error.to_string().contains("nobody"), "{error}");
    for error in [
        system.send_webhook("a", Unwritable).await.unwrap_err(),
        event("a").data(Unwritable).send().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, WebhookError::SerializationError(_)),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    }
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 0);
}

#[tokio::test]
async fn of_a_batch_only_the_wrong_events_are_refused() {
    let system = WebhookSystem::builder()
        .workers(0)
        .build(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    let answers = system
        .send_batch([
            OutgoingEvent::new("user.created"),
            OutgoingEvent::new("user..created"),
            OutgoingEvent::new("user.created").data(Unwritable),
            OutgoingEvent::new("user.deleted").data("x"),
        ])
        .await
        .unwrap();
    let made: Vec<_> = answers
        .iter()
        .map(|answer| {
            answer
                .as_ref()
                .ok()
                .map(|receipt| receipt.delivery_ids.len())
        })
        .collect();
    assert_eq!(made, [Some(1), None, None, Some(1)]);
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 2);

    let many = (0..1_001).map(|_| OutgoingEvent::new("user.created"));
    let error = system.send_batch(many).await.unwrap_err();
    assert!(
        error.to_string().contains("1001 events, at most 1000"),
        "{error}"
    );
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 2);
}

#[tokio::test]
async fn every_call_names_the_endpoint_or_delivery_that_does_not_exist() {
    let system = WebhookSystem::new(MemoryStorage::new());
    let answers = [
        system.update_endpoint(endpoint()).await,
        system.delete_endpoint("a").await,
        system.enable_endpoint("a").await,
        system.disable_endpoint("a").await,
        system.pause_endpoint("a").await,
        system.resume_endpoint("a").await,
        system.rotate_secret("a", SECRET, Duration::ZERO).await,
        system.endpoint_metrics("a").await.map(drop),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(
            matches!(error, WebhookError::EndpointNotFound(_)),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "endpoint not found: a");
    }
    let id = "delivery_0190b5c0-0000-7000-8000-000000000000";
    let letters = system.dead_letters();
    let answers = [
        system.delivery(id).await.map(drop),
        letters.inspect(id).await.map(drop),
        letters.replay(id).await,
        letters.purge(id).await,
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(
            matches!(error, WebhookError::DeliveryNotFound(_)),
            "{error:?}"
        );
        assert!(error.to_string().contains(id), "{error}");
    }
    let error = system.delivery("17").await.unwrap_err();
    assert!(matches!(error, WebhookError::InvalidId(_)), "{error:?}");
    assert_nothing_is_stored(&system).await;
}

#[tokio::test]
async fn the_same_definition_registers_again_and_another_one_does_not() {
    let system = WebhookSystem::new(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    system.register_endpoint(endpoint()).await.unwrap();

    system.disable_endpoint("a").await.unwrap();
    system.register_endpoint(endpoint()).await.unwrap();
    assert!(
        !system.get_endpoint("a").await.unwrap().unwrap().enabled,
        "it stays disabled"
    );
    system.pause_endpoint("a").await.unwrap();
    system.register_endpoint(endpoint()).await.unwrap();

    let overlap = Duration::from_secs(3_600);
    system.rotate_secret("a", "newer", overlap).await.unwrap();
    system.register_endpoint(endpoint()).await.unwrap();
    let newer = WebhookEndpoint {
        secret: "newer".into(),
        ..endpoint()
    };
    system.register_endpoint(newer).await.unwrap();
    assert_eq!(
        system.get_endpoint("a").await.unwrap().unwrap().secret,
        "newer"
    );

    let others: [Change; 3] = [
        |e| e.url = "https://other.example.com/".into(),
        |e| e.events = vec!["user.*".into()],
        |e| e.secret = "a third".into(),
    ];
    for change in others {
        let mut other = endpoint();
        change(&mut other);
        let error = system.register_endpoint(other).await.unwrap_err();
        assert!(
            matches!(error, WebhookError::EndpointExists(_)),
            "{error:?}"
        );
        assert!(error.to_string().ends_with(": a"), "{error}");
    }
    system.delete_endpoint("a").await.unwrap();
    let other = WebhookEndpoint {
        url: "https://other.example.com/".into(),
        ..endpoint()
    };
    system.register_endpoint(other).await.unwrap();
}

#[tokio::test]
async fn a_definition_that_was_rotated_without_overlap_still_registers() {
    let system = WebhookSystem::new(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    let rotated = system.rotate_secret("a", "newer", Duration::ZERO).await;
    rotated.unwrap();
    system.register_endpoint(endpoint()).await.unwrap();
    let stored = system.get_endpoint("a").await.unwrap().unwrap();
    assert_eq!(stored.secret, "newer");
}

#[tokio::test]
async fn after_shutdown_nothing_is_taken() {
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    system.register_endpoint(endpoint()).await.unwrap();
    system.shutdown(Duration::from_secs(1)).await.unwrap();
    system.shutdown(Duration::from_secs(1)).await.unwrap();
    let sends = [
        system.send_webhook("user.created", json!({})).await,
        system.webhook("user.created").send().await,
        system
            .send_batch([OutgoingEvent::new("user.created")])
            .await
            .unwrap()
            .remove(0),
    ];
    for answer in sends {
        let error = answer.unwrap_err();
        assert!(matches!(error, WebhookError::ShutDown(_)), "{error:?}");
    }
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 0);
    assert!(!system.health().await.dispatcher);
}

#[tokio::test]
async fn a_full_storage_is_overloaded_and_stores_nothing_more() {
    let storage = MemoryStorage::new().with_limits(MemoryLimits {
        deliveries: 3,
        ..Default::default()
    });
    let system = WebhookSystem::builder().workers(0).build(storage);
    system.register_endpoint(endpoint()).await.unwrap();
    for _ in 0..3 {
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
    }
    let error = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap_err();
    assert!(matches!(error, WebhookError::Overloaded(_)), "{error:?}");
    assert!(
        error.is_transient() && error.to_string().contains("at most 3"),
        "{error}"
    );
    assert_eq!(system.get_metrics().await.unwrap().total_deliveries, 3);
}

//! What users have been promised, as their own crates would write it: names, shapes and what they
//! do. Only paths of `better_auth_webhooks` appear here.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use better_auth_webhooks::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, NewEvent, Settled, Settlement, Swept,
};
use better_auth_webhooks::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, EndpointRecord, EventQuery,
    EventRecord, Expected, MemoryStorage, Page, Retention, Saved, WebhookStorage, WorkerRecord,
};
use better_auth_webhooks::{
    Attempt, CircuitBreaker, CircuitBreakerConfig, CircuitPermit, CircuitState, Clock,
    DeliveryEngine, DeliveryResult, EventFilter, EventId, EventType, IncomingWebhook,
    NetworkPolicy, Outcome, Priority, RateLimitConfig, RateLimiter, Resolve, Result, RetryStrategy,
    SendReceipt, Shutdown, SignatureGenerator, SystemClock, Timestamp, Transport, Verdict,
    WebhookDelivery, WebhookEndpoint, WebhookError, WebhookEvent, WebhookQueue, WebhookReceiver,
    WebhookSystem, WorkerId, parse_retry_after,
};
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use webhooks_tests::{Receiver, Response};

const SOON: Duration = Duration::from_secs(10);

fn endpoint(url: String) -> WebhookEndpoint {
    WebhookEndpoint {
        id: "endpoint_1".to_string(),
        url,
        secret: "webhook_secret".to_string(),
        events: vec!["user.created".to_string()],
        enabled: true,
        ..Default::default()
    }
}

fn permissive(storage: impl WebhookStorage) -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage)
}

#[tokio::test]
async fn a_system_starts_on_any_storage_and_takes_the_promised_endpoint() {
    let shared: Arc<dyn WebhookStorage> = Arc::new(MemoryStorage::new());
    let systems = [
        WebhookSystem::new(MemoryStorage::new()),
        WebhookSystem::new(Arc::new(MemoryStorage::new())),
        WebhookSystem::new(shared),
    ];
    for system in systems {
        let example = endpoint("https://api.example.com/webhooks".to_string());
        system.register_endpoint(example.clone()).await.unwrap();
        let stored = system.get_endpoint("endpoint_1").await.unwrap().unwrap();
        assert!(stored == example);
        let receipt = system
            .send_webhook("order.paid", json!({ "user_id": "123" }))
            .await
            .unwrap();
        assert!(receipt.event_id.starts_with("webhook_"));
        assert!(receipt.delivery_ids.is_empty());
        assert!(system.health().await.is_healthy());
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "every promised line once")]
async fn the_builder_takes_every_promised_line_and_delivers() {
    let receiver = Receiver::responding(200).await;
    let system = WebhookSystem::builder()
        .retry_strategy(RetryStrategy {
            max_retries: 5,
            initial_delay_ms: 1000,
            max_delay_ms: 300000,
            backoff_multiplier: 2.0,
        })
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 5,
            success_threshold: 2,
            timeout_seconds: 60,
            half_open_max_requests: 3,
        })
        .rate_limit(RateLimitConfig {
            requests_per_second: 10,
            burst_size: 20,
        })
        .timeout_seconds(30)
        .workers(4)
        .max_in_flight(256)
        .max_in_flight_per_endpoint(16)
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    system
        .register_endpoint(endpoint(receiver.url()))
        .await
        .unwrap();

    let receipt: SendReceipt = system
        .webhook("user.created")
        .data(json!({}))
        .priority(Priority::High)
        .delay(Duration::from_millis(50))
        .idempotency_key("signup-123")
        .tenant("org_1")
        .send()
        .await
        .unwrap();
    let again = system
        .webhook("user.created")
        .data(json!({}))
        .idempotency_key("signup-123")
        .tenant("org_1")
        .send()
        .await
        .unwrap();
    assert!(again.duplicate && !receipt.duplicate);
    assert_eq!(again.event_id, receipt.event_id);
    assert_eq!(again.delivery_ids, receipt.delivery_ids);

    let emptied: bool = system.drain(SOON).await.unwrap();
    assert!(emptied);
    assert_eq!(receiver.count(), 1);
    assert_eq!(
        receiver.received()[0].header("x-webhook-id"),
        receipt.event_id
    );
    let metrics = system.get_metrics().await.unwrap();
    assert_eq!(metrics.total_deliveries, 1);
    assert_eq!(metrics.successful_deliveries, 1);
    assert_eq!(metrics.failed_deliveries, 0);
    assert!(metrics.avg_latency_ms > 0.0);
    let one = system.endpoint_metrics("endpoint_1").await.unwrap();
    assert_eq!(one.circuit.state, CircuitState::Closed);
    system.shutdown(Duration::from_secs(10)).await.unwrap();
}

#[deny(unused_must_use)]
async fn a_receipt_may_be_left_unused(system: &WebhookSystem) -> Result<()> {
    system
        .send_webhook("user.created", json!({ "user_id": "123" }))
        .await?;
    Ok(())
}

#[tokio::test]
async fn clones_share_one_system() {
    fn is_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    let receiver = Receiver::responding(200).await;
    let system = permissive(MemoryStorage::new());
    is_shareable(&system);
    let clone = system.clone();
    clone
        .register_endpoint(endpoint(receiver.url()))
        .await
        .unwrap();
    drop(clone);
    a_receipt_may_be_left_unused(&system).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(receiver.count(), 1);
}

#[test]
fn building_outside_a_runtime_panics_with_a_clear_text() {
    for build in [
        || WebhookSystem::new(MemoryStorage::new()),
        || WebhookSystem::builder().build(MemoryStorage::new()),
        || {
            WebhookSystem::builder()
                .try_build(MemoryStorage::new())
                .unwrap()
        },
    ] {
        let panic = std::panic::catch_unwind(build).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.contains("Tokio runtime"), "{text}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "every call of the system once")]
async fn with_an_invalid_setting_every_call_says_so_and_try_build_at_once() {
    let invalid = || WebhookSystem::builder().timeout_seconds(0);
    let error = invalid().try_build(MemoryStorage::new()).unwrap_err();
    assert!(matches!(error, WebhookError::InvalidConfig(_)), "{error}");
    assert!(
        error.to_string().contains("timeout_seconds is 0"),
        "{error}"
    );

    let system = invalid().build(MemoryStorage::new());
    let query = DeliveryQuery::default();
    let letters = system.dead_letters();
    let id = "delivery_0190b5c0-0000-7000-8000-000000000000";
    let answers: Vec<(&str, Result<()>)> = vec![
        (
            "register",
            system
                .register_endpoint(endpoint("https://a.example".into()))
                .await,
        ),
        (
            "update",
            system
                .update_endpoint(endpoint("https://a.example".into()))
                .await,
        ),
        ("get", system.get_endpoint("a").await.map(drop)),
        ("list endpoints", system.list_endpoints().await.map(drop)),
        ("delete", system.delete_endpoint("a").await),
        ("enable", system.enable_endpoint("a").await),
        ("disable", system.disable_endpoint("a").await),
        ("pause", system.pause_endpoint("a").await),
        ("resume", system.resume_endpoint("a").await),
        ("rotate", system.rotate_secret("a", "s", SOON).await),
        (
            "send",
            system
                .send_webhook("user.created", json!({}))
                .await
                .map(drop),
        ),
        (
            "builder",
            system.webhook("user.created").send().await.map(drop),
        ),
        ("batch", system.send_batch([]).await.map(drop)),
        ("metrics", system.get_metrics().await.map(drop)),
        ("endpoint", system.endpoint_metrics("a").await.map(drop)),
        ("notices", system.notices().map(drop)),
        ("drain", system.drain(SOON).await.map(drop)),
        ("shutdown", system.shutdown(SOON).await.map(drop)),
        ("deliveries", system.deliveries(&query).await.map(drop)),
        ("delivery", system.delivery(id).await.map(drop)),
        ("cancel", system.cancel(&query).await.map(drop)),
        ("erase", system.erase_payloads(&query).await.map(drop)),
        ("letters", letters.list(&query).await.map(drop)),
        ("inspect", letters.inspect(id).await.map(drop)),
        ("replay", letters.replay(id).await),
        ("replay all", letters.replay_all(&query).await.map(drop)),
        ("purge", letters.purge(id).await),
        ("purge all", letters.purge_all(&query).await.map(drop)),
    ];
    for (call, answer) in answers {
        let error = answer.expect_err(call);
        assert!(
            matches!(error, WebhookError::InvalidConfig(_)),
            "{call}: {error}"
        );
    }
    assert!(!system.health().await.is_healthy());
}

#[test]
fn defaults_are_the_promised_ones() {
    let retries = RetryStrategy::default();
    assert_eq!((retries.max_retries, retries.initial_delay_ms), (11, 5_000));
    assert_eq!(retries.max_delay_ms, 8 * 3_600_000);
    assert!((retries.backoff_multiplier - 3.0).abs() < f64::EPSILON);
    let circuit = CircuitBreakerConfig::default();
    assert_eq!(
        (circuit.failure_threshold, circuit.success_threshold),
        (5, 2)
    );
    assert_eq!(
        (circuit.timeout_seconds, circuit.half_open_max_requests),
        (60, 3)
    );
    let WebhookEndpoint {
        id: _,
        url: _,
        secret: _,
        events: _,
        enabled,
        rate_limit,
        headers,
        timeout_seconds,
        ..
    } = WebhookEndpoint::default();
    let headers: HashMap<String, String> = headers;
    assert!(enabled && headers.is_empty());
    let rate_limit: Option<RateLimitConfig> = rate_limit;
    assert_eq!((rate_limit, timeout_seconds), (None, 0_u64));
    assert_eq!(Priority::default(), Priority::Normal);
    assert!(Priority::Low < Priority::Normal);
    assert!(Priority::Normal < Priority::High && Priority::High < Priority::Critical);
}

#[test]
fn the_delay_of_a_retry_is_as_documented_for_every_input() {
    let strategy = RetryStrategy {
        max_retries: 5,
        initial_delay_ms: 1_000,
        max_delay_ms: 300_000,
        backoff_multiplier: 2.0,
    };
    for (attempt, millis) in [
        (0, 1_000.0),
        (3, 8_000.0),
        (9, 300_000.0),
        (u32::MAX, 300_000.0),
    ] {
        let delay = strategy.calculate_delay(attempt).as_secs_f64() * 1_000.0;
        assert!(
            (millis * 0.9..=millis * 1.1).contains(&delay),
            "{attempt}: {delay}"
        );
    }
    let extremes = [
        0.0,
        -1.0,
        0.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
    ];
    for backoff_multiplier in extremes {
        for millis in [0, 1, u64::MAX] {
            for attempt in [0, 1, 1_000, u32::MAX] {
                let strategy = RetryStrategy {
                    max_retries: u32::MAX,
                    initial_delay_ms: millis,
                    max_delay_ms: u64::MAX,
                    backoff_multiplier,
                };
                let _: Duration = strategy.calculate_delay(attempt);
            }
        }
    }
}

#[test]
fn errors_have_the_promised_variants_and_keep_their_source() {
    let text = || String::from("why");
    let errors = [
        WebhookError::DeliveryFailed(text().into()),
        WebhookError::RateLimitExceeded,
        WebhookError::CircuitBreakerOpen,
        WebhookError::InvalidSignature,
        WebhookError::EndpointNotFound(text().into()),
        WebhookError::StorageError(text().into()),
        WebhookError::SerializationError(text().into()),
    ];
    let transient: Vec<_> = errors.iter().map(WebhookError::is_transient).collect();
    assert_eq!(transient, [false, true, true, false, false, false, false]);
    for error in errors {
        let shown = error.to_string();
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        assert!(boxed.source().is_none());
        assert!(shown.starts_with(|c: char| c.is_lowercase()), "{shown}");
    }
    let error = WebhookError::transient_storage("no answer", std::io::Error::other("reset"));
    assert!(error.is_transient());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "reset");
}

#[test]
fn a_signature_is_the_bare_hex_and_is_verified() {
    let signature: String = SignatureGenerator.generate("secret", b"{}", 1_700_000_000);
    assert_eq!(signature.len(), 64);
    assert!(
        signature
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    );
    assert!(SignatureGenerator.verify(&signature, "secret", b"{}", 1_700_000_000));
    assert!(!SignatureGenerator.verify(&signature, "secret", b"{ }", 1_700_000_000));
    assert!(!SignatureGenerator.verify(&signature, "other", b"{}", 1_700_000_000));
    assert!(!SignatureGenerator.verify(&signature, "secret", b"{}", 1_700_000_001));
}

#[test]
fn filters_and_retry_after_are_read_as_documented() {
    let filter = EventFilter::new("user.*").unwrap();
    assert!(filter.matches("user.created"));
    assert!(filter.matches("user.profile.updated"));
    assert!(!filter.matches("user") && !filter.matches("users.x"));

    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    let wait: Option<Duration> = parse_retry_after("120", now);
    assert_eq!(wait, Some(Duration::from_secs(120)));
    for date in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(
            parse_retry_after(date, now),
            Some(Duration::from_secs(7)),
            "{date}"
        );
    }
    assert_eq!(parse_retry_after("soon", now), None);
}

#[test]
fn a_network_policy_opens_what_it_names() {
    let policy = NetworkPolicy::default()
        .allow_http()
        .allow_cidr("10.1.0.0/16")
        .unwrap()
        .allow_port(8080)
        .allow_name("hooks.internal")
        .unwrap();
    policy.check_url("http://10.1.2.3:8080/hook").unwrap();
    policy.check_url("https://hooks.internal/hook").unwrap();
    for refused in [
        "http://10.2.0.1/",
        "https://localhost/",
        "https://other.internal/",
        "http://169.254.169.254/",
    ] {
        assert!(policy.check_url(refused).is_err(), "{refused}");
    }
    assert!(
        NetworkPolicy::default()
            .check_url("http://example.com/")
            .is_err()
    );
    assert!(NetworkPolicy::default().allow_cidr("ten").is_err());
    let open = NetworkPolicy::permissive();
    open.check_url("http://localhost:3000/hook").unwrap();
    assert!(open.check_url("http://169.254.169.254/").is_err());
}

/// Resolves every name to one address.
struct OneAddress(IpAddr, Arc<AtomicUsize>);

#[async_trait]
impl Resolve for OneAddress {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(vec![self.0])
    }
}

#[tokio::test]
async fn a_resolver_of_the_user_is_asked_when_sending_and_its_answers_are_judged() {
    let receiver = Receiver::responding(200).await;
    let port = receiver.url().split([':', '/']).nth(4).unwrap().to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    let loopback = || OneAddress("127.0.0.1".parse().unwrap(), asked.clone());
    let policy = NetworkPolicy::default().allow_http();
    let open = policy.clone().allow_cidr("127.0.0.0/8").unwrap();
    let strict = WebhookSystem::builder()
        .network_policy(policy)
        .resolver(loopback())
        .retry_strategy(RetryStrategy {
            max_retries: 0,
            ..Default::default()
        })
        .build(MemoryStorage::new());
    let opened = WebhookSystem::builder()
        .network_policy(open)
        .resolver(loopback())
        .build(MemoryStorage::new());
    let url = format!("http://hooks.example.com:{port}/");
    for system in [&strict, &opened] {
        system
            .register_endpoint(endpoint(url.clone()))
            .await
            .unwrap();
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        0,
        "registration resolves nothing"
    );
    for system in [&strict, &opened] {
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
        assert!(system.drain(SOON).await.unwrap());
    }
    assert_eq!(strict.get_metrics().await.unwrap().failed_deliveries, 1);
    assert_eq!(opened.get_metrics().await.unwrap().successful_deliveries, 1);
    assert_eq!((receiver.count(), asked.load(Ordering::SeqCst)), (1, 2));
}

async fn queue_with(endpoint: WebhookEndpoint) -> WebhookQueue {
    let storage: Arc<dyn WebhookStorage> = Arc::new(MemoryStorage::new());
    storage.save_endpoint(&endpoint).await.unwrap();
    WebhookQueue::new(storage, RetryStrategy::default())
}

fn delivery(number: u32, priority: Priority) -> WebhookDelivery {
    let event_type = EventType::new("user.created").unwrap();
    let now = SystemClock.now();
    let data = json!({ "number": number });
    let event = WebhookEvent::new(event_type, None, &data, 1 << 18, now).unwrap();
    WebhookDelivery {
        priority,
        ..WebhookDelivery::new("endpoint_1", Arc::new(event))
    }
}

#[tokio::test]
async fn a_queue_hands_out_the_most_urgent_first_and_takes_it_back() {
    let queue = queue_with(endpoint("https://api.example.com/".into())).await;
    let (low, high) = (delivery(1, Priority::Low), delivery(2, Priority::High));
    queue.enqueue(low.clone()).await.unwrap();
    queue.enqueue(high.clone()).await.unwrap();
    let first = queue.dequeue().await.unwrap().unwrap();
    assert_eq!(first.id, high.id);
    assert!(first.lease.is_some() && first.endpoint.is_some());
    queue.requeue(first).await.unwrap();
    let first = queue.dequeue().await.unwrap().unwrap();
    let second = queue.dequeue().await.unwrap().unwrap();
    assert_eq!((first.id, second.id), (high.id, low.id));
    assert!(queue.dequeue().await.unwrap().is_none());
    let nobody = WebhookDelivery {
        endpoint_id: "nobody".into(),
        ..delivery(3, Priority::Normal)
    };
    let error = queue.enqueue(nobody).await.unwrap_err();
    assert!(
        matches!(error, WebhookError::EndpointNotFound(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_delivery_out_of_the_queue_is_delivered_by_the_engine_and_completed() {
    let script = |_: &_, n| Response::Status(if n == 1 { 500 } else { 201 });
    let receiver = Receiver::start(script).await;
    let queue = queue_with(endpoint(receiver.url())).await;
    let engine = DeliveryEngine::builder(Arc::new(SystemClock))
        .network_policy(NetworkPolicy::permissive())
        .build()
        .unwrap();
    let sent = delivery(1, Priority::Normal);
    let error = engine.deliver(&sent).await.unwrap_err();
    assert!(
        matches!(error, WebhookError::EndpointNotFound(_)),
        "{error}"
    );
    queue.enqueue(sent.clone()).await.unwrap();

    let taken = queue.dequeue().await.unwrap().unwrap();
    let result: DeliveryResult = engine.deliver(&taken).await.unwrap();
    assert_eq!(result.status, Some(500));
    assert!(!result.is_delivered());
    queue.complete(&taken, &result).await.unwrap();
    assert!(
        queue.dequeue().await.unwrap().is_none(),
        "it waits for its retry"
    );

    let second = delivery(2, Priority::Normal);
    queue.enqueue(second).await.unwrap();
    let taken = queue.dequeue().await.unwrap().unwrap();
    let result = engine.deliver(&taken).await.unwrap();
    assert_eq!(result.outcome, Outcome::Delivered);
    queue.complete(&taken, &result).await.unwrap();
    let error = queue.complete(&taken, &result).await.unwrap_err();
    assert!(
        matches!(error, WebhookError::DeliveryNotFound(_)),
        "{error}"
    );
    let verifier = WebhookReceiver::new("webhook_secret");
    for request in receiver.received() {
        verifier.receive(&request.headers, &request.body).unwrap();
    }
}

#[tokio::test]
async fn a_rate_limiter_takes_a_token_with_every_true() {
    let limiter = RateLimiter::new(RateLimitConfig {
        requests_per_second: 1,
        burst_size: 2,
    });
    let mut granted = Vec::new();
    for _ in 0..3 {
        granted.push(limiter.check_rate_limit("endpoint_1").await.unwrap());
    }
    assert_eq!(granted, [true, true, false]);
    assert!(limiter.check_rate_limit("endpoint_2").await.unwrap());
}

#[test]
fn a_circuit_has_three_states() {
    let states = [
        CircuitState::Closed,
        CircuitState::Open,
        CircuitState::HalfOpen,
    ];
    for state in states {
        match state {
            CircuitState::Closed | CircuitState::Open | CircuitState::HalfOpen => {}
        }
    }
}

#[test]
fn a_circuit_breaker_is_asked_and_told() {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig {
        failure_threshold: 1,
        ..Default::default()
    });
    let now = SystemClock.now();
    let permit: CircuitPermit = breaker.try_acquire(now).unwrap();
    let circuit = permit.settle(Verdict::Failed, now).unwrap();
    assert_eq!(circuit.state, CircuitState::Open);
    assert!(breaker.try_acquire(now).is_err());
}

#[tokio::test]
async fn a_receiver_verifies_and_parses_as_promised() {
    let sink = Receiver::responding(200).await;
    let system = permissive(MemoryStorage::new());
    system
        .register_endpoint(endpoint(sink.url()))
        .await
        .unwrap();
    system
        .send_webhook("user.created", json!({ "user_id": "123" }))
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());
    let request = sink.received().remove(0);
    let (headers, body) = (request.headers, request.body);

    let receiver = WebhookReceiver::new("webhook_secret");
    assert!(receiver.verify_signature(&headers, &body).unwrap());
    receiver.verify(&headers, &body).unwrap();
    let webhook = receiver.parse_webhook(&body).unwrap();
    let IncomingWebhook {
        id,
        event,
        timestamp,
        data,
        version,
    } = webhook;
    assert!(id.starts_with("webhook_") && timestamp.ends_with('Z'));
    assert_eq!((event.as_str(), version.as_str()), ("user.created", "1.0"));
    assert_eq!(data["user_id"], "123");

    let other = WebhookReceiver::new("another");
    assert!(!other.verify_signature(&headers, &body).unwrap());
    assert_eq!(
        other.verify(&headers, &body).unwrap_err().code(),
        "signature_mismatch"
    );
    let both = other.with_secrets(["another", "webhook_secret"]);
    both.receive(&headers, &body).unwrap();
    let strict = WebhookReceiver::new("webhook_secret").with_tolerance(Duration::from_secs(1));
    assert!(strict.verify_at(&headers, &body, 0).is_err());
    let error = receiver
        .verify_signature(&HeaderMap::new(), &body)
        .unwrap_err();
    assert!(matches!(error, WebhookError::InvalidSignature), "{error}");
    let mut garbage = headers;
    garbage.insert("x-webhook-signature", HeaderValue::from_static("?"));
    assert!(receiver.verify_signature(&garbage, &body).is_err());
}

/// A storage of a user's own: here one that counts events before it keeps them in memory.
#[derive(Debug, Default)]
struct MyStorage {
    inner: MemoryStorage,
    events: Arc<AtomicUsize>,
}

#[async_trait]
impl WebhookStorage for MyStorage {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        self.inner.save_definition(endpoint, expected).await
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        self.inner.save_secrets(endpoint, expected).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        self.inner.endpoint_record(id).await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        self.inner.delete_endpoint(id, expected, now).await
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        self.inner.endpoints_since(revision, limit).await
    }

    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        self.inner.set_gates(gates, now).await
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        self.events.fetch_add(events.len(), Ordering::SeqCst);
        self.inner.enqueue(events, worker, now).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        self.inner.claim(claim).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        self.inner.settle(worker, settlements, now).await
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        self.inner.beat(worker, at).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        self.inner.deliveries(query).await
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        self.inner.change(query, to, limit, now).await
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        self.inner.deliver_events(deliveries, now).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        self.inner.events(query).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.inner.oldest_ready(now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.inner.workers().await
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        self.inner.counts(endpoint_id).await
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        self.inner.sweep(retention, limit, now).await
    }
}

#[tokio::test]
async fn a_storage_of_the_user_carries_events_without_its_own_wake_ups() {
    let receiver = Receiver::start(|_, n| Response::Status(if n == 1 { 500 } else { 200 })).await;
    let storage = MyStorage::default();
    let events = storage.events.clone();
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 5,
            initial_delay_ms: 20,
            max_delay_ms: 20,
            backoff_multiplier: 1.0,
        })
        .build(storage);
    system
        .register_endpoint(endpoint(receiver.url()))
        .await
        .unwrap();
    for _ in 0..20 {
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
    }
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(events.load(Ordering::SeqCst), 20);
    assert_eq!(receiver.count(), 21);
}

/// A transport of a user's own.
#[derive(Debug)]
struct Discard;

#[async_trait]
impl Transport for Discard {
    fn check(&self, _: &WebhookEndpoint) -> Result<()> {
        Ok(())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        Ok(DeliveryResult {
            outcome: Outcome::of_status(attempt.endpoint, 204),
            status: Some(204),
            started_at: attempt.now,
            duration: Duration::from_millis(1),
            retry_after: None,
            response: Default::default(),
            response_headers: Vec::new(),
        })
    }

    fn forget(&self, _: &str) {}
}

#[tokio::test]
async fn a_transport_of_the_user_takes_the_place_of_the_network() {
    let shared: Arc<dyn Transport> = Arc::new(Discard);
    for builder in [
        WebhookSystem::builder().transport(Discard),
        WebhookSystem::builder().transport(shared),
    ] {
        let system = builder.build(MemoryStorage::new());
        let anywhere = endpoint("gopher://nowhere".to_string());
        system.register_endpoint(anywhere).await.unwrap();
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
        assert!(system.drain(SOON).await.unwrap());
        let metrics = system.get_metrics().await.unwrap();
        assert_eq!(metrics.successful_deliveries, 1);
    }
}

#[tokio::test]
async fn a_shutdown_says_whether_requests_were_cut_off() {
    let receiver = Receiver::start(|_, n| match n {
        1 => Response::Status(200),
        _ => Response::Hang,
    })
    .await;
    for is_cut_off in [false, true] {
        let system = permissive(MemoryStorage::new());
        let target = endpoint(receiver.url());
        system.register_endpoint(target).await.unwrap();
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
        while receiver.count() == usize::from(is_cut_off) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ended: Shutdown = system.shutdown(Duration::from_millis(200)).await.unwrap();
        assert_eq!(ended.cut_off, is_cut_off);
    }
}

/// Calls can be made in tasks of their own.
#[tokio::test]
async fn every_call_can_be_spawned() {
    fn is_send<T: Send>(call: T) {
        drop(call);
    }
    let system = WebhookSystem::new(MemoryStorage::new());
    let target = || endpoint("https://api.example.com/".to_string());
    is_send(system.register_endpoint(target()));
    is_send(system.update_endpoint(target()));
    is_send(system.delete_endpoint("a"));
    is_send(system.enable_endpoint("a"));
    is_send(system.disable_endpoint("a"));
    is_send(system.pause_endpoint("a"));
    is_send(system.resume_endpoint("a"));
    is_send(system.verify_endpoint("a"));
    is_send(system.rotate_secret("a", "b", SOON));
    is_send(system.send_webhook("a", json!({})));
    is_send(system.webhook("a").send());
    is_send(system.send_batch([]));
    is_send(system.get_metrics());
    is_send(system.health());
    is_send(system.drain(SOON));
    is_send(system.shutdown(SOON));
}

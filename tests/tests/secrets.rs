//! No secret and no payload shows in a log, in `Debug` or in an error.
#![expect(clippy::too_many_lines, reason = "everything that is public is much")]
#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, MemoryStorage, WebhookStorage};
use better_auth_webhooks::{
    DeliveryEngine, EventType, NetworkPolicy, OutgoingEvent, PreviousSecret, RetryStrategy,
    SignatureScheme, SystemClock, Timestamp, TlsOptions, WebhookDelivery, WebhookEndpoint,
    WebhookError, WebhookEvent, WebhookQueue, WebhookReceiver, WebhookSystem,
};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use webhooks_tests::{Answer, Receiver};

/// In every secret, header value, payload, answer and private part of a URL.
const MARK: &str = "hunter2";
const SOON: Duration = Duration::from_secs(10);

/// Writes everything down that is logged, at every level, by every crate.
#[derive(Clone, Debug, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock().unwrap(), " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let line = format!("\n{} {}", metadata.level(), metadata.target());
        self.0.lock().unwrap().push_str(&line);
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[track_caller]
fn is_silent(what: &impl Debug) {
    let shown = format!("{what:?} {what:#?}");
    assert!(!shown.contains(MARK), "{shown}");
}

#[track_caller]
fn is_silent_error(error: &WebhookError) {
    is_silent(error);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        assert!(!format!("{error} {error:?}").contains(MARK), "{error}");
        cause = error.source();
    }
}

fn endpoint(url: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: "a".into(),
        url: format!("{url}?token={MARK}"),
        secret: format!("{MARK}-current"),
        events: vec!["*".into()],
        headers: [("authorization".into(), format!("Bearer {MARK}"))].into(),
        previous_secrets: vec![PreviousSecret {
            secret: format!("{MARK}-previous"),
            expires_at: Timestamp::from_secs(9_999_999_999),
        }],
        ..Default::default()
    }
}

async fn errors(system: &WebhookSystem) -> Vec<WebhookError> {
    let good = endpoint("https://hooks.example.com/");
    let urls = [
        format!("https://user:{MARK}@hooks.example.com/"),
        format!("https://hooks.example.com/ {MARK}"),
        format!("https://localhost/{MARK}"),
        format!("https://127.0.0.1/?{MARK}"),
        format!("gopher://hooks.example.com/{MARK}"),
        format!("https://hooks.example.com:6379/{MARK}#{MARK}"),
        MARK.to_owned(),
    ];
    let mut wrong: Vec<WebhookEndpoint> = urls
        .into_iter()
        .map(|url| WebhookEndpoint {
            url,
            ..good.clone()
        })
        .collect();
    wrong.push(WebhookEndpoint {
        signature: SignatureScheme::Standard,
        ..good.clone()
    });
    wrong.push(WebhookEndpoint {
        secret: MARK.repeat(300),
        ..good.clone()
    });
    wrong.push(WebhookEndpoint {
        headers: [("x".into(), format!("{MARK}\r\n"))].into(),
        ..good.clone()
    });
    let strict = WebhookSystem::new(MemoryStorage::new());
    let mut errors = Vec::new();
    for endpoint in wrong {
        errors.push(strict.register_endpoint(endpoint).await.unwrap_err());
    }
    let rotated = system.rotate_secret("a", MARK.repeat(300), SOON).await;
    errors.push(rotated.unwrap_err());
    let other = WebhookEndpoint {
        secret: format!("{MARK}-other"),
        ..system.get_endpoint("a").await.unwrap().unwrap()
    };
    errors.push(system.register_endpoint(other).await.unwrap_err());
    let large = MARK.repeat(100_000);
    errors.push(system.send_webhook("a.b", &large).await.unwrap_err());
    errors.push(
        TlsOptions::default()
            .add_roots_pem(MARK.as_bytes())
            .unwrap_err(),
    );
    let receiver = WebhookReceiver::new(MARK);
    let body = format!(r#"{{"id":{MARK:?},"event":1}}"#);
    errors.push(receiver.parse_webhook(body.as_bytes()).unwrap_err());
    errors.push(receiver.parse_webhook(MARK.as_bytes()).unwrap_err());
    errors
}

#[tokio::test]
async fn nothing_that_is_logged_or_formatted_shows_a_secret_or_a_payload() {
    let log = Everything::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();

    let receiver = Receiver::start(|_, n| match n {
        1 => Answer::Header(500, "x-secret", MARK.into()),
        2 => Answer::Header(429, "retry-after", MARK.into()),
        3 => Answer::Header(302, "location", format!("https://example.com/{MARK}")),
        _ => Answer::Status(if n % 2 == 0 { 200 } else { 400 }),
    })
    .await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 3,
            initial_delay_ms: 10,
            max_delay_ms: 10,
            backoff_multiplier: 1.0,
        });
    is_silent(&builder);
    let system = builder.build(storage.clone());
    system
        .register_endpoint(endpoint(&receiver.url()))
        .await
        .unwrap();
    let mut notices = system.notices().unwrap();
    let data = json!({ "password": MARK });
    for _ in 0..6 {
        is_silent(&system.send_webhook("user.created", &data).await.unwrap());
    }
    let event = OutgoingEvent::new("user.created").data(&data);
    is_silent(&event);
    is_silent(&system.webhook("user.created").data(&data));
    let unreachable = WebhookEndpoint {
        id: "b".into(),
        ..endpoint("http://127.0.0.1:1/")
    };
    system.register_endpoint(unreachable).await.unwrap();
    system.send_batch([event]).await.unwrap();
    is_silent(&system);
    assert!(system.drain(SOON).await.unwrap());

    for error in errors(&system).await {
        is_silent_error(&error);
    }
    is_silent(&system);
    is_silent(&storage);
    is_silent(&system.list_endpoints().await.unwrap());
    let query = DeliveryQuery {
        with_attempts: true,
        ..Default::default()
    };
    is_silent(&system.deliveries(&query).await.unwrap());
    is_silent(&system.dead_letters());
    is_silent(
        &system
            .dead_letters()
            .list(&DeliveryQuery::default())
            .await
            .unwrap(),
    );
    is_silent(&system.get_metrics().await.unwrap());
    is_silent(&system.endpoint_metrics("a").await.unwrap());
    while let Ok(notice) = tokio::time::timeout(Duration::from_millis(10), notices.next()).await {
        is_silent(&notice);
    }
    for request in receiver.received() {
        let verifier = WebhookReceiver::new(format!("{MARK}-current"));
        is_silent(&verifier);
        let webhook = verifier.receive(&request.headers, &request.body).unwrap();
        is_silent(&webhook);
    }
    by_hand(&receiver).await;
    system.shutdown(SOON).await.unwrap();

    let log = log.0.lock().unwrap();
    assert!(
        log.contains("delivered") && log.contains("attempt failed"),
        "{log}"
    );
    let line = log.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None);
}

async fn by_hand(receiver: &Receiver) {
    let event_type = EventType::new("user.created").unwrap();
    let data = json!({ "password": MARK });
    let event = WebhookEvent::new(event_type, None, &data, 1 << 18, Timestamp::EPOCH).unwrap();
    is_silent(&event);
    let storage: Arc<dyn WebhookStorage> = Arc::new(MemoryStorage::new());
    storage
        .save_endpoint(&endpoint(&receiver.url()))
        .await
        .unwrap();
    let queue = WebhookQueue::new(storage, RetryStrategy::default());
    let delivery = WebhookDelivery::new("a", Arc::new(event));
    queue.enqueue(delivery).await.unwrap();
    let engine = DeliveryEngine::builder(Arc::new(SystemClock));
    let engine = engine.network_policy(NetworkPolicy::permissive());
    is_silent(&engine);
    let engine = engine.build().unwrap();
    let delivery = queue.dequeue().await.unwrap().unwrap();
    is_silent(&delivery);
    is_silent(&engine.deliver(&delivery).await.unwrap());
    is_silent(&engine);
    is_silent(&queue);
}

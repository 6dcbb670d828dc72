//! No secret and no payload shows in a log, in `Debug` or in an error.
#![expect(clippy::too_many_lines, reason = "everything that is public is much")]
#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use better_auth_webhooks::storage::{
    DeliveryQuery, EncryptionKeys, EndpointRecord, GateState, MemoryStorage, PostgresStorage,
    RedisStorage, WebhookStorage,
};
use better_auth_webhooks::{
    DeliveryEngine, Ed25519Key, EventType, KeptEndpoint, NetworkPolicy, OutgoingEvent,
    PreviousSecret, RetryStrategy, SignatureScheme, SystemClock, Timestamp, TlsOptions,
    WebhookDelivery, WebhookEndpoint, WebhookError, WebhookEvent, WebhookQueue, WebhookReceiver,
    WebhookSystem,
};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use webhooks_tests::{Receiver, Response};

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

/// A key of 32 bytes, full of the mark.
const KEY: &[u8; 32] = b"hunter2hunter2hunter2hunter2hunt";
/// The same in Base64.
const KEY_BASE64: &str = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ=";

#[track_caller]
fn is_silent(what: &impl Debug) {
    is_silent_text(&format!("{what:?} {what:#?}"));
}

#[track_caller]
fn is_silent_text(shown: &str) {
    // As text, as Base64, and as a list of bytes.
    let bytes = format!("{:?}", MARK.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    let lines: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for hidden in [MARK, &KEY_BASE64[..16], bytes] {
        assert!(!lines.contains(hidden), "{shown}");
    }
}

#[track_caller]
fn is_silent_error(error: &WebhookError) {
    is_silent(error);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        is_silent_text(&format!("{error} {error:?}"));
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
        1 => Response::Header(500, "x-secret", MARK.into()),
        2 => Response::Header(429, "retry-after", MARK.into()),
        3 => Response::Header(302, "location", format!("https://example.com/{MARK}")),
        _ => Response::Status(if n % 2 == 0 { 200 } else { 400 }),
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
    keys();
    key_pairs(&receiver).await;
    challenges().await;
    system.shutdown(SOON).await.unwrap();

    let log = log.0.lock().unwrap();
    assert!(
        log.contains("delivered") && log.contains("attempt failed"),
        "{log}"
    );
    let hidden = |line: &&str| line.contains(MARK) || line.contains(KEY_BASE64);
    assert_eq!(log.lines().find(hidden), None);
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

/// Encryption at rest.
fn keys() {
    let keys = EncryptionKeys::new("k", KEY).unwrap();
    is_silent(&keys);
    let parsed: EncryptionKeys = format!("k:{KEY_BASE64}").parse().unwrap();
    is_silent(&parsed);
    for wrong in [
        format!("k:{MARK}!"),
        format!("k:{MARK}"),
        KEY_BASE64.to_owned(),
        format!("k:{KEY_BASE64},k:{KEY_BASE64}"),
        format!("{}:{KEY_BASE64}", "k".repeat(33)),
    ] {
        is_silent_error(&wrong.parse::<EncryptionKeys>().unwrap_err());
    }
    is_silent_error(&EncryptionKeys::new("k", MARK.as_bytes()).unwrap_err());

    let definition = endpoint("https://hooks.example.com/");
    let sealed = keys.seal(&definition).unwrap().into_owned();
    is_silent(&sealed);
    let other = EncryptionKeys::new("k", &[0; 32]).unwrap();
    let moved = WebhookEndpoint {
        id: "b".into(),
        ..sealed.clone()
    };
    let opened = |keys: &EncryptionKeys, mut stored: WebhookEndpoint| {
        let error = keys.open(&mut stored).unwrap_err();
        is_silent_error(&error);
        EndpointRecord {
            endpoint: stored.into(),
            gate: GateState::default(),
            revision: 1,
            definition_revision: 1,
            incarnation: 1,
            deleted: false,
            unreadable: Some(error),
        }
    };
    is_silent(&opened(&other, sealed.clone()));
    is_silent(&opened(&EncryptionKeys::none(), sealed));
    is_silent(&opened(&keys, moved));
    is_silent(&KeptEndpoint::from(definition));

    let url = format!("postgres://user:{MARK}@127.0.0.1:1/db");
    let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build().unwrap();
    is_silent(&PostgresStorage::builder(pool).encryption_keys(keys.clone()));
    let url = format!("redis://user:{MARK}@127.0.0.1:1");
    let config = fred::types::config::Config::from_url(&url).unwrap();
    let client = fred::types::Builder::from_config(config).build().unwrap();
    is_silent(&RedisStorage::builder(client).encryption_keys(keys));
}

/// Endpoints that sign with a private key.
async fn key_pairs(receiver: &Receiver) {
    let secret = format!("whsk_{KEY_BASE64}");
    let key = Ed25519Key::new(&secret).unwrap();
    is_silent(&key);
    is_silent(&key.public_key());
    is_silent(&webhooks_core::StandardSigner::new(&secret).unwrap());
    for wrong in [
        MARK.to_owned(),
        format!("whsk_{MARK}"),
        secret.replace('=', ""),
    ] {
        is_silent_error(&Ed25519Key::new(&wrong).unwrap_err());
    }
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    let wrong = WebhookEndpoint {
        secret: secret.clone(),
        ..endpoint(&receiver.url())
    };
    is_silent_error(&system.register_endpoint(wrong).await.unwrap_err());
    let right = WebhookEndpoint {
        secret,
        signature: SignatureScheme::Standard,
        previous_secrets: Vec::new(),
        ..endpoint(&receiver.url())
    };
    system.register_endpoint(right).await.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    is_silent(&system);
    is_silent(&system.list_endpoints().await.unwrap());
    is_silent(&WebhookReceiver::new(key.public_key().to_string()));
    system.shutdown(SOON).await.unwrap();
}

/// What an endpoint answers to a challenge, and the challenge as the consumer sees it.
async fn challenges() {
    let receiver = Receiver::start(|_, n| match n {
        1 => Response::Body(200, json!({ "challenge": MARK }).to_string()),
        2 => Response::Body(200, MARK.into()),
        _ => Response::Body(500, MARK.into()),
    })
    .await;
    let builder = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .require_verification(true)
        .max_endpoints_per_tenant(1);
    is_silent(&builder);
    let system = builder.build(MemoryStorage::new());
    let registered = system.register_endpoint(endpoint(&receiver.url())).await;
    registered.unwrap();
    for _ in 0..3 {
        is_silent_error(&system.verify_endpoint("a").await.unwrap_err());
    }
    is_silent_error(&system.enable_endpoint("a").await.unwrap_err());
    let verifier = WebhookReceiver::new(MARK);
    let ping = json!({ "id": "1", "event": "webhook.ping", "timestamp": "", "version": "1.0",
        "data": { "challenge": MARK } });
    let ping = verifier.parse_webhook(ping.to_string().as_bytes()).unwrap();
    assert_eq!(ping.challenge(), Some(MARK));
    is_silent(&ping);
    system.shutdown(SOON).await.unwrap();
}

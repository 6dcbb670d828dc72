//! What users read as JSON: names in snake case, and no secret.
#![cfg(feature = "memory")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test may panic in its helpers too"
)]

use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, DisabledBy, MemoryStorage};
use better_auth_webhooks::{
    NetworkPolicy, Notice, NoticeStream, PreviousSecret, RetryStrategy, Timestamp, WebhookEndpoint,
    WebhookSystem,
};
use serde::Serialize;
use serde_json::{Value, json};
use webhooks_tests::{Receiver, Response};

/// In every secret, header value and private part of a URL.
const MARK: &str = "hunter2";
const SOON: Duration = Duration::from_secs(10);

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

#[track_caller]
fn shown(what: &impl Serialize) -> Value {
    let text = serde_json::to_string(what).unwrap();
    assert!(!text.contains(MARK), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn has_fields(json: &Value, fields: &[&str]) {
    let object = json.as_object().unwrap();
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    let mut fields = fields.to_vec();
    names.sort_unstable();
    fields.sort_unstable();
    assert_eq!(names, fields);
}

#[tokio::test]
async fn what_a_system_tells_can_be_written_as_json_without_a_secret() {
    let receiver = Receiver::start(|_, n| Response::Status(if n == 1 { 503 } else { 200 })).await;
    let retry_strategy = RetryStrategy {
        max_retries: 1,
        initial_delay_ms: 10,
        max_delay_ms: 10,
        backoff_multiplier: 1.0,
    };
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(retry_strategy)
        .build(MemoryStorage::new());
    let mut notices = system.notices().unwrap();
    let definition = endpoint(&receiver.url());
    system.register_endpoint(definition).await.unwrap();
    let receipt = system
        .send_webhook("user.created", json!({ "n": 1 }))
        .await
        .unwrap();
    let fields = ["event_id", "delivery_ids", "dead", "duplicate"];
    has_fields(&shown(&receipt), &fields);
    assert!(system.drain(SOON).await.unwrap());

    let of_delivery = [
        "delivery_id",
        "event_id",
        "event_type",
        "endpoint_id",
        "tenant",
        "attempt",
        "status",
        "failure",
    ];
    let sent = next(&mut notices, "sent").await;
    let of_event = ["notice", "event_id", "event_type", "tenant", "deliveries"];
    has_fields(&sent, &of_event);
    let retrying = next(&mut notices, "retrying").await;
    has_fields(&retrying, &["notice", "delivery", "at"]);
    has_fields(&retrying["delivery"], &of_delivery);
    assert_eq!(retrying["delivery"]["failure"], "server_error");
    let delivered = next(&mut notices, "delivered").await;
    has_fields(&delivered, &["notice", "delivery"]);
    has_fields(&delivered["delivery"], &of_delivery);
    assert_eq!(delivered["delivery"]["attempt"], 2);

    records(&system).await;
    numbers(&system).await;
    system.shutdown(SOON).await.unwrap();
}

/// The next notice of a kind.
async fn next(notices: &mut NoticeStream, kind: &str) -> Value {
    loop {
        let notice = shown(&notices.next().await.unwrap());
        if notice["notice"] == kind {
            return notice;
        }
    }
}

async fn records(system: &WebhookSystem) {
    let endpoints = shown(&system.list_endpoints().await.unwrap());
    assert_eq!(
        endpoints[0]["endpoint"]["headers"],
        json!(["authorization"])
    );
    let query = DeliveryQuery {
        with_attempts: true,
        ..Default::default()
    };
    let page = shown(&system.deliveries(&query).await.unwrap());
    let record = &page["items"][0];
    assert_eq!(record["state"], "delivered");
    assert_eq!(
        record["delivery"]["event"]["payload"]["data"],
        json!({ "n": 1 })
    );
    assert_eq!(record["attempts"][0]["status"], 503);
}

async fn numbers(system: &WebhookSystem) {
    let metrics = shown(&system.get_metrics().await.unwrap());
    assert_eq!(metrics["successful_deliveries"], 1);
    assert_eq!(metrics["counts"]["suspended"], 0);
    assert_eq!(metrics["refused"]["outcomes"], 0);
    let metrics = shown(&system.endpoint_metrics("a").await.unwrap());
    assert_eq!(
        metrics["circuit"],
        json!({ "state": "closed", "reopens_at": null })
    );
    assert_eq!(metrics["attempts"]["retried"], 1);
    let health = json!({ "storage": true, "dispatcher": true, "settling": true });
    assert_eq!(shown(&system.health().await), health);
}

#[test]
fn a_notice_of_an_endpoint_has_its_reason() {
    let disabled = Notice::EndpointDisabled {
        endpoint_id: "a".into(),
        by: DisabledBy::Gone,
    };
    let expected = json!({ "notice": "endpoint_disabled", "endpoint_id": "a", "by": "gone" });
    assert_eq!(shown(&disabled), expected);
}

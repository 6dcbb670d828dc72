//! What a scrape tells of the requests that were made.
#![cfg(feature = "telemetry")]
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::MemoryStorage;
use reqwest::Method;
use serde_json::json;
use support::{Running, over_with};
use webhooks_server::{Scope, Scopes};
use webhooks_telemetry::Telemetry;

async fn counted() -> Running {
    let telemetry = Arc::new(Telemetry::new());
    let builder = WebhookSystem::builder().observe(telemetry.clone());
    let system = builder.build(MemoryStorage::new());
    over_with(system, |server| server.telemetry(telemetry)).await
}

/// A number of a scrape.
fn number(scrape: &str, series: &str) -> Option<u64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series));
    line.map(|rest| rest.trim().parse().unwrap())
}

#[tokio::test]
async fn a_scrape_counts_the_requests_that_were_made() {
    let server = counted().await;
    let root = server.root();
    for _ in 0..3 {
        root.get("/api/v1/endpoints/nobody").await;
    }
    root.post("/api/v1/events", &json!({ "type": "a.b" })).await;
    root.get("/api/v1/no/such/route").await;
    root.call(Method::DELETE, "/api/v1/me").await;
    root.call("BREW".parse().unwrap(), "/api/v1/me").await;
    let nobody = server.with_key(None);
    let guess = format!("whk_abcdefgh_{}", "A".repeat(43));
    let stranger = server.with_key(Some(&guess));
    nobody.get("/api/v1/me").await;
    for _ in 0..7 {
        stranger.get("/api/v1/me").await;
    }
    let stream = root.request(Method::GET, "/api/v1/stream").send().await;
    let stream = stream.unwrap();

    let scrape = root.get("/metrics").await;
    assert!(
        scrape
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let answered = |method: &str, route: &str, status: u16| {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        let series = format!("webhooks_http_request_duration_seconds_count{{{labels}}}");
        number(&scrape.text, &series)
    };
    assert_eq!(answered("GET", "/api/v1/endpoints/{id}", 404), Some(3));
    assert_eq!(answered("POST", "/api/v1/events", 202), Some(1));
    assert_eq!(answered("GET", "none", 404), Some(1));
    assert_eq!(answered("DELETE", "/api/v1/me", 405), Some(1));
    assert_eq!(answered("other", "/api/v1/me", 405), Some(1));
    assert_eq!(answered("GET", "/api/v1/me", 401), Some(6));
    assert_eq!(answered("GET", "/api/v1/me", 429), Some(2));
    for (reason, count) in [("no_key", 1), ("bad_key", 5), ("too_many_guesses", 2)] {
        let series = format!("webhooks_auth_failures_total{{reason=\"{reason}\"}}");
        assert_eq!(number(&scrape.text, &series), Some(count), "{reason}");
    }
    assert_eq!(number(&scrape.text, "webhooks_streams"), Some(1));
    // What the system does, and where it is, comes with it.
    let sent = "webhooks_events_sent_total{outcome=\"no_endpoint\"}";
    assert_eq!(number(&scrape.text, sent), Some(1));
    assert!(scrape.text.contains("webhooks_queue_deliveries"));
    assert!(!scrape.text.contains("nobody") && !scrape.text.contains("such"));

    drop(stream);
    for tries in 0.. {
        let scrape = root.get("/metrics").await;
        if number(&scrape.text, "webhooks_streams") == Some(0) {
            break;
        }
        assert!(tries < 500, "the stream never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn numbers_are_for_operators() {
    let server = counted().await;
    let scrape = async |caller: support::Caller| caller.get("/metrics").await;
    scrape(server.with_key(None))
        .await
        .is_problem(401, "unauthorized");
    let other = server.caller(&[Scope::EventsRead], None).await;
    scrape(other).await.is_problem(403, "scope-missing");
    let tenant = server
        .caller(&Vec::from(Scopes::of_tenants()), Some("a"))
        .await;
    scrape(tenant).await.is_problem(404, "not-found");
    let reader = server.caller(&[Scope::MetricsRead], None).await;
    assert_eq!(scrape(reader).await.status, 200);
    // Nothing is counted where nobody asked for it.
    let server = support::start().await;
    scrape(server.root()).await.is_problem(404, "not-found");
}

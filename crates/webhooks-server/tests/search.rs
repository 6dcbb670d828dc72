//! Deliveries that are chosen by what their events say, over real sockets.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use better_auth_webhooks::{OutgoingEvent, WebhookSystem};
use serde_json::{Value, json};
use support::{Caller, Running, start_with};
use webhooks_server::{Scope, Scopes};

/// A server with 300 events of each tenant, numbered; every hundredth is rare.
async fn filled() -> Running {
    let server = start_with(WebhookSystem::builder().workers(0)).await;
    for tenant in ["a", "b"] {
        let id = format!("{tenant}-endpoint");
        let root = server.root();
        root.endpoint(&id, "http://127.0.0.1:1/", Some(tenant))
            .await;
        let events = (0..300).map(|n| {
            let data = json!({ "of": tenant, "n": n, "tags": ["x", { "rare": n % 100 == 0 }] });
            OutgoingEvent::new("a.b").tenant(tenant).data(data)
        });
        let sent = server.system.send_batch(events).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    }
    server
}

/// What a caller finds with this data at a route, with more parameters.
async fn find(caller: &Caller, route: &str, data: &Value, more: &str) -> support::Answer {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("data", &data.to_string())
        .finish();
    caller.get(&format!("/api/v1/{route}?{query}{more}")).await
}

#[tokio::test]
async fn deliveries_are_found_by_what_their_events_say() {
    let server = filled().await;
    let root = server.root();
    let rare = json!({ "tags": [{ "rare": true }] });
    let all = find(&root, "deliveries", &rare, "").await.json();
    assert_eq!(
        (all["items"].as_array().unwrap().len(), &all["complete"]),
        (6, &json!(true))
    );
    assert_eq!(all["next"], Value::Null);
    let one = find(
        &root,
        "deliveries",
        &json!({ "of": "b", "n": 7.0 }),
        "&limit=1",
    )
    .await
    .json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let none = find(&root, "deliveries", &json!({ "n": "7" }), "")
        .await
        .json();
    assert_eq!(
        (&none["items"], &none["complete"]),
        (&json!([]), &json!(true))
    );
    // Page by page they are the same, once each.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = find(&root, "deliveries", &rare, &format!("&limit=2{cursor}"))
            .await
            .json();
        paged.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ids: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].clone())
        .collect();
    assert_eq!(paged, ids);
}

#[tokio::test]
async fn they_are_counted_and_exported_so_too() {
    let server = filled().await;
    let root = server.root();
    let rare = json!({ "tags": [{ "rare": true }] });
    let counted = find(&root, "deliveries/count", &rare, "").await.json();
    assert_eq!(
        counted,
        json!({ "count": 6, "capped": false, "complete": true })
    );
    let capped = find(&root, "deliveries/count", &rare, "&at_most=2")
        .await
        .json();
    assert_eq!(
        (&capped["count"], &capped["capped"]),
        (&json!(2), &json!(true))
    );
    let exported = find(&root, "deliveries/export", &rare, "").await.text;
    assert_eq!(exported.lines().count(), 7);
    let dead = find(&root, "dead-letters", &rare, "").await.json();
    assert_eq!(dead["items"], json!([]));
    // A listing that does not search says nothing of it.
    assert!(
        root.get("/api/v1/deliveries")
            .await
            .json()
            .get("complete")
            .is_none()
    );
}

#[tokio::test]
async fn who_may_not_see_data_cannot_ask_for_it_and_a_tenant_finds_its_own() {
    let server = filled().await;
    let rare = json!({ "tags": [{ "rare": true }] });
    let blind = server.caller(&[Scope::DeliveriesRead], None).await;
    let tenant = server
        .caller(&Vec::from(Scopes::of_tenants()), Some("b"))
        .await;
    for route in [
        "deliveries",
        "deliveries/count",
        "deliveries/export",
        "dead-letters",
    ] {
        find(&blind, route, &rare, "")
            .await
            .is_problem(403, "scope-missing");
        let long = json!("x".repeat(2_000));
        find(&tenant, route, &long, "")
            .await
            .is_problem(400, "malformed");
        let bad = tenant.get(&format!("/api/v1/{route}?data={{")).await;
        bad.is_problem(400, "malformed");
    }
    let own = find(&tenant, "deliveries", &rare, "").await;
    assert_eq!(own.json()["items"].as_array().unwrap().len(), 3);
    assert!(!own.text.contains("a-endpoint"));
    let theirs = find(&tenant, "deliveries/count", &json!({ "of": "a" }), "")
        .await
        .json();
    assert_eq!(theirs["count"], 0);
}

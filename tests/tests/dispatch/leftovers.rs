//! Requests that outlive their endpoint count to the cap of who comes in its place.

use webhooks_core::storage::{Deleted, Expected, WebhookStorage};
use webhooks_core::{DeliveryState, WebhookEndpoint};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply};

use crate::support::*;

fn at(id: &str, tenant: Option<&str>, url: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        url: url.into(),
        tenant: tenant.map(Into::into),
        ..endpoint(id)
    }
}

async fn delete(node: &Node, id: &str) {
    let now = node.pipeline.now();
    let deleted = node.storage.delete_endpoint(id, Expected::Any, now).await;
    assert_eq!(deleted.unwrap(), Deleted::Deleted);
    node.pipeline.refresh().await.unwrap();
}

async fn node(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Node {
    Node::alone(&[], Settings::default(), script).await
}

const URL: &str = "https://hooks.example.com/";

#[tokio::test(start_paused = true)]
async fn deleting_and_registering_again_does_not_multiply_the_cap() {
    let node = node(|_| Reply::Slow(secs(25), 200)).await;
    for _ in 0..6 {
        node.add(endpoint("a")).await;
        node.send_many("a", 40).await;
        tokio::time::sleep(secs(1)).await;
        delete(&node, "a").await;
    }
    assert_eq!(node.transport.peak(|_| true), 16);
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_under_other_ids_at_the_same_host() {
    for tenant in [None, Some("t")] {
        let node = node(|_| Reply::Slow(secs(25), 200)).await;
        for n in 0..6 {
            let id = format!("a{n}");
            node.add(at(&id, tenant, &format!("{URL}{n}"))).await;
            node.send_many(&id, 40).await;
            tokio::time::sleep(secs(1)).await;
            delete(&node, &id).await;
        }
        assert_eq!(node.transport.peak(|_| true), 16);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_a_change_of_tenant() {
    let node = node(|_| Reply::Slow(secs(25), 200)).await;
    for tenant in ["t", "u", "v", "w"] {
        node.add(at("a", Some(tenant), URL)).await;
        node.send_many("a", 40).await;
        tokio::time::sleep(secs(1)).await;
    }
    assert_eq!(node.transport.peak(|_| true), 16);
}

#[tokio::test(start_paused = true)]
async fn the_next_starts_as_soon_as_they_end() {
    let node = node(|call| match call.nth {
        1..=16 => Reply::Slow(secs(20), 200),
        _ => Reply::Slow(millis(10), 200),
    })
    .await;
    node.add(endpoint("a")).await;
    node.send_many("a", 40).await;
    tokio::time::sleep(secs(1)).await;
    delete(&node, "a").await;
    node.add(endpoint("a")).await;
    let ids = node.send_many("a", 10).await;
    tokio::time::sleep(secs(18)).await;
    assert_eq!(node.transport.calls().len(), 16);
    tokio::time::sleep(millis(1_500)).await;
    for id in ids {
        assert_eq!(node.record(id).await.state, DeliveryState::Delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn others_have_no_part_in_that() {
    let node = node(|call| match call.endpoint_id.as_str() {
        "a" => Reply::Slow(secs(25), 200),
        _ => Reply::Slow(millis(10), 200),
    })
    .await;
    node.add(at("a", Some("t"), URL)).await;
    node.send_many("a", 40).await;
    tokio::time::sleep(secs(1)).await;
    delete(&node, "a").await;
    for (id, tenant, url) in [
        ("another_tenant", Some("u"), URL),
        ("another_host", Some("t"), "https://other.example.com/"),
        ("no_tenant", None, URL),
    ] {
        node.add(at(id, tenant, url)).await;
        let sent = node.send_many(id, 5).await;
        tokio::time::sleep(millis(200)).await;
        for delivery in sent {
            let state = node.record(delivery).await.state;
            assert_eq!(state, DeliveryState::Delivered, "{id}");
        }
    }
}

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Deleted, DisabledBy, Expected, WebhookStorage};
use webhooks_core::{DeliveryState, WebhookEndpoint};
use webhooks_delivery::Settings;
use webhooks_tests::Reply;

use crate::support::*;

async fn slow() -> Node {
    let settings = Settings::default();
    Node::alone(&["a"], settings, |_| Reply::Slow(millis(100), 200)).await
}

/// Whether what waited went out from few in flight to many.
fn assert_no_herd(node: &Node, before: usize, total: usize) {
    let calls = node.transport.calls();
    let calls = &calls[before..];
    assert_eq!(calls.len(), total);
    let within = |ms| {
        let started = calls
            .iter()
            .filter(|call| gap(&calls[0], call) < millis(ms));
        started.count()
    };
    let counts = [within(100), within(200), within(300)];
    assert_eq!(counts[0], 1);
    assert!(counts[1] <= 3 && counts[2] <= 7, "{counts:?}");
    assert!(node.transport.peak(|_| true) > 8, "it grows");
}

#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_keeps_everything_and_resumes_slowly() {
    let node = slow().await;
    node.change("a", GateChange::Pause).await;
    node.send_many("a", 100).await;
    tokio::time::sleep(secs(60)).await;
    assert!(node.transport.calls().is_empty());
    let counts = node.counts().await;
    assert_eq!((counts.suspended, counts.ready), (100, 100));
    assert!(node.drain(secs(1)).await, "paused endpoints aside");
    node.change("a", GateChange::Resume).await;
    assert!(node.drain(secs(60)).await);
    assert_no_herd(&node, 0, 100);
    assert!(node.transport.calls().iter().all(|call| call.number == 1));
}

#[tokio::test(start_paused = true)]
async fn pausing_under_load_stops_new_requests_at_once() {
    let node = slow().await;
    node.send_many("a", 200).await;
    tokio::time::sleep(millis(250)).await;
    node.change("a", GateChange::Pause).await;
    let started = node.transport.calls().len();
    tokio::time::sleep(secs(30)).await;
    assert_eq!(node.transport.calls().len(), started);
    let counts = node.counts().await;
    assert_eq!((counts.delivered, counts.leased), (started as u64, 0));
    node.change("a", GateChange::Resume).await;
    assert!(node.drain(secs(60)).await);
    assert_eq!(node.transport.calls().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_endpoint_takes_no_events_and_keeps_what_waits() {
    let node = slow().await;
    node.change("a", GateChange::Pause).await;
    node.send_many("a", 100).await;
    node.change("a", GateChange::Disable(DisabledBy::Operator))
        .await;
    node.change("a", GateChange::Resume).await;
    let sent = node.send(&outgoing(None)).await.unwrap();
    assert!(sent.delivery_ids.is_empty());
    assert!(node.send(&outgoing(Some("a"))).await.is_err());
    tokio::time::sleep(secs(60)).await;
    assert!(node.transport.calls().is_empty());
    node.change("a", GateChange::Enable).await;
    assert!(node.drain(secs(60)).await);
    assert_no_herd(&node, 0, 100);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_disables_works_like_a_disabling() {
    let node = slow().await;
    node.add(WebhookEndpoint {
        enabled: false,
        ..endpoint("a")
    })
    .await;
    let sent = node.send(&outgoing(None)).await.unwrap();
    assert!(sent.delivery_ids.is_empty());
    node.add(endpoint("a")).await;
    node.send_to("a").await;
    assert!(node.drain(secs(5)).await);
    assert_eq!(node.counts().await.enqueued, 1);
}

#[tokio::test(start_paused = true)]
async fn a_410_ends_the_delivery_and_disables_the_endpoint_until_it_is_enabled() {
    let node = slow().await;
    node.transport.follow(|call| match call.nth {
        1 => Reply::Status(410),
        _ => Reply::Slow(millis(100), 200),
    });
    node.send_to("a").await;
    tokio::time::sleep(millis(50)).await;
    let record = node.pipeline.endpoint("a").unwrap();
    assert_eq!(record.gate.disabled, Some(DisabledBy::Gone));
    assert!(!record.endpoint.enabled);
    assert!(
        node.send(&outgoing(None))
            .await
            .unwrap()
            .delivery_ids
            .is_empty()
    );
    node.change("a", GateChange::Enable).await;
    node.send_to("a").await;
    assert!(node.drain(secs(1)).await, "it goes at once");
    let counts = node.counts().await;
    assert_eq!((counts.dead, counts.delivered), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn deleting_an_endpoint_cancels_what_waits_and_what_would_wait_again() {
    let node = slow().await;
    node.transport.follow(|_| Reply::Slow(millis(100), 500));
    let ids = node.send_many("a", 100).await;
    tokio::time::sleep(millis(50)).await;
    let started = node.transport.calls().len();
    let now = node.pipeline.now();
    let deleted = node.storage.delete_endpoint("a", Expected::Any, now).await;
    assert_eq!(deleted.unwrap(), Deleted::Deleted);
    node.pipeline.refresh().await.unwrap();
    assert!(node.drain(secs(5)).await);
    tokio::time::sleep(secs(600)).await;
    assert_eq!(node.transport.calls().len(), started);
    let counts = node.counts().await;
    assert_eq!((counts.cancelled, counts.waiting()), (100, 0));
    for id in ids {
        assert_eq!(node.record(id).await.state, DeliveryState::Cancelled);
    }
    assert!(
        node.send(&outgoing(None))
            .await
            .unwrap()
            .delivery_ids
            .is_empty()
    );
    node.transport.follow(|_| Reply::Status(200));
    node.add(endpoint("a")).await;
    node.send_to("a").await;
    assert!(node.drain(secs(5)).await);
    assert_eq!(node.counts().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_410_of_the_place_before_does_not_disable_an_endpoint_that_has_moved() {
    let node = slow().await;
    node.transport.follow(|call| match call.nth {
        1 => Reply::Slow(secs(2), 410),
        _ => Reply::Status(200),
    });
    node.send_to("a").await;
    tokio::time::sleep(secs(1)).await;
    node.add(WebhookEndpoint {
        url: "https://new.example.com/".into(),
        ..endpoint("a")
    })
    .await;
    tokio::time::sleep(secs(2)).await;
    assert_eq!(node.counts().await.dead, 1, "the old place has answered");
    node.send_to("a").await;
    assert!(node.drain(secs(1)).await);
    assert_eq!(node.counts().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ends_behind_a_change_leaves_nothing_of_before_ready() {
    let node = Node::alone(&["a", "b", "c"], Settings::default(), |_| {
        Reply::Slow(secs(5), 200)
    })
    .await;
    for id in ["a", "b", "c"] {
        node.send_to(id).await;
    }
    tokio::time::sleep(secs(1)).await;
    let now = node.pipeline.now();
    let deleted = node.storage.delete_endpoint("a", Expected::Any, now);
    assert_eq!(deleted.await.unwrap(), Deleted::Deleted);
    let rotated = WebhookEndpoint {
        secret: "another that is not real".into(),
        ..endpoint("b")
    };
    node.storage.save_endpoint(&rotated).await.unwrap();
    node.pipeline.refresh().await.unwrap();
    assert_eq!(node.transport.calls().len(), 3);
    assert!(node.drain(secs(60)).await);
    assert_eq!(node.counts().await.delivered, 3);
    assert!(node.transport.kept("a").is_none(), "deleted");
    assert!(node.transport.kept("b").is_none(), "changed");
    assert!(node.transport.kept("c").is_some());
}

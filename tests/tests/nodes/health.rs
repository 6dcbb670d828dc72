//! What one process knows of an endpoint's health, and what is decided by hand, holds for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use better_auth_webhooks::{
    CircuitBreakerConfig, DeliveryState, WebhookEndpoint, WebhookSystem, WebhookSystemBuilder,
};
use serde_json::json;
use webhooks_tests::{Receiver, Response};

use crate::place::{Place, builder, count, endpoint, of_tenant, on_each_storage, until};

on_each_storage! {
    enabling_on_one_node_closes_the_circuits_of_all
    resuming_on_one_node_closes_the_circuits_of_all
    an_update_that_enables_closes_the_circuits_of_all
    a_success_on_any_node_ends_the_failing_time
    an_update_that_enables_begins_the_failing_time_anew
    a_response_to_what_was_sent_before_disables_nothing
    a_response_to_a_deleted_endpoint_disables_no_later_one
}

/// A receiver whose response can be changed.
async fn changing() -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(500));
    let now = status.clone();
    let response = move |_: &_, _| Response::Status(now.load(Ordering::SeqCst));
    (Receiver::start(response).await, status)
}

/// Opens its circuit for an hour after two failures.
fn opening() -> WebhookSystemBuilder {
    builder().circuit_breaker(CircuitBreakerConfig {
        failure_threshold: 2,
        success_threshold: 1,
        timeout_seconds: 3_600,
        half_open_max_requests: 1,
    })
}

async fn send(system: &WebhookSystem) {
    let event = system.webhook("order.paid").data(json!({ "n": 1 }));
    event.endpoint("a").send().await.unwrap();
}

async fn is_enabled(system: &WebhookSystem) -> bool {
    let stored = system.get_endpoint("a").await.unwrap();
    stored.unwrap().enabled
}

/// Opens the circuits of both nodes, lets the endpoint be mended, and does something by hand on the
/// first node; whether what the second node sends then arrives.
async fn after(place: &Place, by_hand: impl AsyncFn(&WebhookSystem, &WebhookEndpoint)) {
    let (receiver, status) = changing().await;
    let (first, second) = (
        place.node_with(opening()).await,
        place.node_with(opening()).await,
    );
    let definition = endpoint("a", &receiver.url());
    first.register_endpoint(definition.clone()).await.unwrap();
    for round in 0..3 {
        status.store(500, Ordering::SeqCst);
        let open = async || {
            second.list_endpoints().await.unwrap();
            let metrics = second.endpoint_metrics("a").await.unwrap();
            let is_open = metrics.circuit.reopens_at.is_some();
            if !is_open {
                send(&second).await;
            }
            is_open
        };
        until("the circuit opens", open).await;
        status.store(200, Ordering::SeqCst);
        by_hand(&first, &definition).await;
        let before = receiver.count();
        for _ in 0..5 {
            send(&second).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        until("what is sent arrives", async || {
            count(&first, DeliveryState::Ready).await == 0
                && count(&first, DeliveryState::Leased).await == 0
                && receiver.count() >= before + 5
        })
        .await;
        let gate = &first.list_endpoints().await.unwrap()[0].gate;
        assert_eq!(
            (gate.held_until, gate.max_leased),
            (None, None),
            "in round {round}"
        );
    }
}

async fn enabling_on_one_node_closes_the_circuits_of_all(place: &Place) {
    after(place, async |node, _| {
        node.disable_endpoint("a").await.unwrap();
        node.enable_endpoint("a").await.unwrap();
    })
    .await;
}

async fn resuming_on_one_node_closes_the_circuits_of_all(place: &Place) {
    after(place, async |node, _| {
        node.resume_endpoint("a").await.unwrap();
    })
    .await;
}

async fn an_update_that_enables_closes_the_circuits_of_all(place: &Place) {
    after(place, async |node, definition| {
        node.disable_endpoint("a").await.unwrap();
        node.update_endpoint(definition.clone()).await.unwrap();
    })
    .await;
}

const DISABLE_AFTER: Duration = Duration::from_secs(4);

async fn a_success_on_any_node_ends_the_failing_time(place: &Place) {
    let (receiver, status) = changing().await;
    let node = || place.node_with(builder().auto_disable_after(DISABLE_AFTER));
    let (first, second) = (node().await, node().await);
    first
        .register_endpoint(endpoint("a", &receiver.url()))
        .await
        .unwrap();
    second.list_endpoints().await.unwrap();
    send(&first).await;
    receiver.wait_for(1).await;
    until("it has failed", async || {
        count(&first, DeliveryState::Dead).await == 1
    })
    .await;
    status.store(200, Ordering::SeqCst);
    // At once: the second node does not know yet that there is something to end.
    send(&second).await;
    receiver.wait_for(2).await;
    tokio::time::sleep(DISABLE_AFTER + Duration::from_millis(500)).await;
    status.store(500, Ordering::SeqCst);
    send(&first).await;
    until("it has failed again", async || {
        count(&first, DeliveryState::Dead).await == 2
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_enabled(&first).await, "after one failure");
}

async fn an_update_that_enables_begins_the_failing_time_anew(place: &Place) {
    let (receiver, _) = changing().await;
    let system = place
        .node_with(builder().auto_disable_after(Duration::from_secs(2)))
        .await;
    let definition = endpoint("a", &receiver.url());
    system.register_endpoint(definition.clone()).await.unwrap();
    until("it is disabled for failing", async || {
        if is_enabled(&system).await {
            send(&system).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        !is_enabled(&system).await
    })
    .await;
    system.update_endpoint(definition).await.unwrap();
    let before = receiver.count();
    send(&system).await;
    receiver.wait_for(before + 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_enabled(&system).await, "after one failure");
}

/// Responds to the first request after a second with 410, and all others with 200.
async fn late() -> Receiver {
    Receiver::start(|_, n| match n {
        1 => Response::After(Duration::from_secs(1), 410),
        _ => Response::Status(200),
    })
    .await
}

async fn a_response_to_what_was_sent_before_disables_nothing(place: &Place) {
    let receiver = late().await;
    let (first, second) = (place.node().await, place.node().await);
    first
        .register_endpoint(endpoint("a", &receiver.url()))
        .await
        .unwrap();
    second.list_endpoints().await.unwrap();
    send(&second).await;
    receiver.wait_for(1).await;
    first.disable_endpoint("a").await.unwrap();
    first.enable_endpoint("a").await.unwrap();
    until("it has responded", async || {
        count(&first, DeliveryState::Dead).await == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_enabled(&first).await);
    assert!(is_enabled(&second).await);
}

async fn a_response_to_a_deleted_endpoint_disables_no_later_one(place: &Place) {
    let receiver = late().await;
    let (first, second) = (place.node().await, place.node().await);
    let url = receiver.url();
    first
        .register_endpoint(of_tenant("a", &url, "org_1"))
        .await
        .unwrap();
    second.list_endpoints().await.unwrap();
    send(&second).await;
    receiver.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    // The second node learns of it after it has responded.
    first.delete_endpoint("a").await.unwrap();
    first
        .register_endpoint(of_tenant("a", &url, "org_2"))
        .await
        .unwrap();
    until("it has responded", async || {
        count(&first, DeliveryState::Leased).await == 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_enabled(&first).await);
}

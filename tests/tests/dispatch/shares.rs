//! What endpoints that hold their requests for long, and what one tenant, leave for the others.

use webhooks_core::{DeliveryState, WebhookEndpoint};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply};

use crate::support::*;

fn is_hung(call: &Call) -> bool {
    call.endpoint_id.starts_with('h')
}

/// Answers twice at once, and never again.
fn hangs_after_two(call: &Call) -> Reply {
    match is_hung(call) && call.nth > 2 {
        true => Reply::Hang,
        false => Reply::Status(200),
    }
}

fn never_retried() -> Settings {
    Settings {
        retry_strategy: every(secs(1), 0),
        ..Default::default()
    }
}

async fn send(node: &Node, tenant: Option<&str>, count: usize) {
    for _ in 0..count {
        let event = webhooks_core::SendOptions {
            tenant,
            ..outgoing(None)
        };
        node.send(&event).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_may_hang_for_an_hour_leave_room_for_all_others() {
    let node = Node::alone(&[], never_retried(), hangs_after_two).await;
    for n in 0..16 {
        node.add(WebhookEndpoint {
            timeout_seconds: 3_600,
            ..endpoint(&format!("h{n}"))
        })
        .await;
    }
    // All have answered, and lately.
    send(&node, None, 2).await;
    assert!(node.drain(secs(1)).await);
    send(&node, None, 40).await;
    tokio::time::sleep(secs(30)).await;
    assert_eq!(node.transport.peak(is_hung), 64, "a quarter of 256");
    // One of which nothing is known yet, and one after a long silence.
    node.add(endpoint("new")).await;
    for wait in [0, 300] {
        tokio::time::sleep(secs(wait)).await;
        let id = node.send_to("new").await;
        tokio::time::sleep(secs(1)).await;
        assert_eq!(node.record(id).await.state, DeliveryState::Delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn all_endpoints_of_one_tenant_together_leave_half_for_the_others() {
    let node = Node::alone(&[], never_retried(), hangs_after_two).await;
    let of = |id: &str, tenant: &str| WebhookEndpoint {
        tenant: Some(tenant.into()),
        ..endpoint(id)
    };
    for n in 0..32 {
        node.add(of(&format!("h{n}"), "one")).await;
    }
    node.add(of("good", "other")).await;
    send(&node, Some("one"), 2).await;
    assert!(node.drain(secs(1)).await);
    // At the same moment, before anybody can see that they hang.
    send(&node, Some("one"), 40).await;
    send(&node, Some("other"), 16).await;
    tokio::time::sleep(millis(500)).await;
    assert_eq!(node.transport.peak(is_hung), 128);
    assert_eq!(node.transport.calls_to("good").len(), 16);
    // Whoever waits for a place of its tenant gets it in the end.
    node.transport.follow(|_| Reply::Status(200));
    assert!(node.drain(secs(3_600)).await);
    assert_balanced(&node.counts().await);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_only_busy_gets_all_it_sends() {
    let settings = Settings {
        max_in_flight_per_tenant: Some(3),
        ..Default::default()
    };
    let node = Node::alone(&[], settings, |_| Reply::Slow(millis(20), 200)).await;
    for n in 0..20 {
        node.add(WebhookEndpoint {
            tenant: Some("one".into()),
            ..endpoint(&format!("e{n}"))
        })
        .await;
    }
    send(&node, Some("one"), 30).await;
    // 600 requests of 20 ms, three at a time, are 4 s.
    assert!(node.drain(secs(6)).await);
    assert_eq!(node.transport.peak(|_| true), 3);
    assert_eq!(node.counts().await.delivered, 600);
}

#[tokio::test(start_paused = true)]
async fn a_stored_timeout_of_a_tenants_endpoint_is_cut_to_the_longest() {
    let node = Node::alone(&[], never_retried(), |_| Reply::Hang).await;
    node.add(WebhookEndpoint {
        tenant: Some("one".into()),
        timeout_seconds: 3_600,
        ..endpoint("h")
    })
    .await;
    let id = node.send_to("h").await;
    tokio::time::sleep(secs(119)).await;
    assert_eq!(node.record(id).await.state, DeliveryState::Leased);
    tokio::time::sleep(secs(3)).await;
    assert_eq!(node.record(id).await.state, DeliveryState::Dead);
}

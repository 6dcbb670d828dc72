use webhooks_core::storage::spi::GateChange;
use webhooks_core::{RateLimitConfig, WebhookEndpoint};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply};

use crate::support::*;

const TEN: RateLimitConfig = RateLimitConfig {
    requests_per_second: 10,
    burst_size: 20,
};

fn limited() -> Settings {
    Settings {
        rate_limit: Some(TEN),
        max_in_flight_per_endpoint: 64,
        ..Default::default()
    }
}

/// Whether, at every moment, as many requests had started as tokens were there.
fn assert_at_the_rate(calls: &[Call], total: usize) {
    let start = calls[0].at;
    for ms in (0..20_000).step_by(100) {
        let allowed = total.min(20 + ms / 100);
        let until = start.after(millis(ms as u64));
        let started = calls.iter().filter(|call| call.at <= until).count();
        assert!(started <= allowed, "{started} of {allowed} after {ms} ms");
        assert!(
            started + 2 >= allowed,
            "{started} of {allowed} after {ms} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_endpoint_gets_exactly_its_rate_and_loses_nothing() {
    let node = Node::alone(&["a"], limited(), |_| Reply::Status(200)).await;
    let own = RateLimitConfig {
        requests_per_second: 1_000,
        burst_size: 1_000,
    };
    node.add(WebhookEndpoint {
        rate_limit: Some(own),
        ..endpoint("b")
    })
    .await;
    node.send_many("a", 120).await;
    node.send_many("b", 200).await;
    tokio::time::sleep(millis(200)).await;
    assert_eq!(
        node.transport.calls_to("b").len(),
        200,
        "it waits for nobody"
    );
    assert!(node.drain(secs(60)).await);

    let calls = node.transport.calls_to("a");
    assert_eq!(calls.len(), 120);
    assert!(calls.iter().all(|call| call.number == 1));
    assert_at_the_rate(&calls, 120);
    let counts = node.counts().await;
    assert_eq!((counts.delivered, counts.enqueued), (320, 320));
    assert_balanced(&counts);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_is_resumed_keeps_to_the_rate_too() {
    let node = Node::alone(&["a"], limited(), |_| Reply::Status(200)).await;
    node.change("a", GateChange::Pause).await;
    node.send_many("a", 100).await;
    node.change("a", GateChange::Resume).await;
    assert!(node.drain(secs(60)).await);
    assert_at_the_rate(&node.transport.calls(), 100);
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_stay_within_both_caps() {
    let settings = Settings {
        max_in_flight: 8,
        max_in_flight_per_endpoint: 3,
        ..Default::default()
    };
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let node = Node::alone(&ids, settings, |call| {
        Reply::Slow(millis(20 + call.nth as u64 % 7 * 50), 200)
    })
    .await;
    for _ in 0..30 {
        // One event for all of them.
        node.send(&outgoing(None)).await.unwrap();
    }
    assert!(node.drain(secs(120)).await);
    assert_eq!(node.transport.calls().len(), 300);
    assert_eq!(node.transport.peak(|_| true), 8);
    for id in ids {
        let peak = node.transport.peak(|call| call.endpoint_id == id);
        assert!((1..=3).contains(&peak), "{id}: {peak}");
    }
}

use webhooks_core::storage::spi::GateChange;
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply};

use crate::support::*;

fn is_hung(call: &Call) -> bool {
    call.endpoint_id.starts_with('h')
}

#[tokio::test(start_paused = true)]
async fn hung_endpoints_hold_at_most_half_of_the_total() {
    let settings = Settings {
        max_in_flight: 16,
        max_in_flight_per_endpoint: 4,
        retry_strategy: every(secs(1), 100),
        ..Default::default()
    };
    let hung = ["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"];
    let node = Node::alone(&hung, settings, |call| {
        if is_hung(call) {
            Reply::Hang
        } else {
            Reply::Slow(millis(20), 200)
        }
    })
    .await;
    node.add(endpoint("good")).await;
    node.send_to("good").await;
    assert!(node.drain(secs(1)).await);
    for id in hung {
        node.send_many(id, 40).await;
    }
    tokio::time::sleep(secs(5)).await;
    for _ in 0..10 {
        node.send_many("good", 20).await;
        tokio::time::sleep(secs(1)).await;
        let sent = node.transport.calls_to("good").len() - 1;
        assert_eq!(sent % 20, 0, "{sent} are done within a second");
    }
    assert_eq!(node.transport.calls_to("good").len(), 201);
    tokio::time::sleep(secs(300)).await;
    assert_eq!(node.transport.peak(is_hung), 8);
    for id in hung {
        assert!(!node.transport.calls_to(id).is_empty(), "{id} has its turn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_has_its_turn_among_hung_ones() {
    let settings = Settings {
        max_in_flight: 8,
        max_in_flight_per_endpoint: 4,
        retry_strategy: every(secs(1), 100),
        ..Default::default()
    };
    let node = Node::alone(&["h1", "h2", "h3", "new"], settings, |call| {
        if is_hung(call) {
            Reply::Hang
        } else {
            Reply::Status(200)
        }
    })
    .await;
    for id in ["h1", "h2", "h3"] {
        node.send_many(id, 50).await;
    }
    tokio::time::sleep(secs(2)).await;
    node.send_many("new", 10).await;
    tokio::time::sleep(secs(62)).await;
    assert_eq!(node.transport.calls_to("new").len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_new_endpoints_at_once_all_get_theirs() {
    let settings = Settings {
        max_in_flight: 64,
        ..Default::default()
    };
    let ids: Vec<_> = (0..1_000).map(|n| format!("new_{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let node = Node::alone(&ids, settings, |_| Reply::Slow(millis(1), 200)).await;
    let sending = (0..4).map(|part| {
        let (node, ids) = (&node, &ids);
        async move {
            for id in ids.iter().skip(part).step_by(4) {
                node.send_many(id, 5).await;
            }
        }
    });
    futures_util::future::join_all(sending).await;
    assert!(node.drain(secs(30)).await);
    assert_eq!(node.transport.calls().len(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn endpoints_with_backlogs_take_turns() {
    let settings = Settings {
        max_in_flight: 2,
        max_in_flight_per_endpoint: 2,
        ..Default::default()
    };
    let ids = ["a", "b", "c"];
    let node = Node::alone(&ids, settings, |_| Reply::Slow(millis(10), 200)).await;
    for id in ids {
        node.change(id, GateChange::Pause).await;
    }
    node.send_many("a", 500).await;
    node.send_many("b", 50).await;
    node.send_many("c", 50).await;
    for id in ids {
        node.change(id, GateChange::Resume).await;
    }
    assert!(node.drain(secs(60)).await);
    let calls = node.transport.calls();
    assert_eq!(calls.len(), 600);
    for id in ["b", "c"] {
        let last = calls.iter().rposition(|call| call.endpoint_id == id);
        assert!(last.unwrap() < 170, "{id} waits for {last:?} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_of_a_limited_endpoint_costs_the_others_nothing() {
    let settings = Settings {
        max_in_flight: 4,
        ..Default::default()
    };
    let node = Node::alone(&["b"], settings, |_| Reply::Slow(millis(10), 200)).await;
    node.add(webhooks_core::WebhookEndpoint {
        rate_limit: Some(webhooks_core::RateLimitConfig {
            requests_per_second: 1,
            burst_size: 1,
        }),
        ..endpoint("a")
    })
    .await;
    node.send_many("a", 2_000).await;
    let start = node.pipeline.now();
    node.send_many("b", 400).await;
    tokio::time::sleep(secs(2)).await;
    let calls = node.transport.calls_to("b");
    assert_eq!(calls.len(), 400);
    let took = calls[399].at.since(start);
    assert!(took < millis(1_300), "{took:?}");
}

use webhooks_core::storage::spi::GateChange;
use webhooks_core::{DeliveryId, Priority, SendOptions};
use webhooks_delivery::Settings;
use webhooks_tests::Reply;

use crate::support::*;

async fn paused() -> Node {
    let settings = Settings {
        max_in_flight_per_endpoint: 1,
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |_| Reply::Slow(millis(5), 200)).await;
    node.change("a", GateChange::Pause).await;
    node
}

async fn send(node: &Node, priority: Priority) -> DeliveryId {
    let send = SendOptions {
        priority,
        ..outgoing(Some("a"))
    };
    node.send(&send).await.unwrap().delivery_ids[0]
}

async fn arrived(node: &Node) -> Vec<DeliveryId> {
    node.change("a", GateChange::Resume).await;
    assert!(node.drain(secs(60)).await);
    let calls = node.transport.calls();
    calls.iter().map(|call| call.delivery_id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_by_priority_and_within_one_by_its_time() {
    let node = paused().await;
    let levels = [
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Critical,
    ];
    let mut expected = Vec::new();
    for round in 0..10_u8 {
        for priority in levels {
            let id = send(&node, priority).await;
            expected.push((std::cmp::Reverse(priority), round, id));
        }
        tokio::time::sleep(secs(1)).await;
    }
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(arrived(&node).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_level_is_worth_ten_minutes_so_that_nothing_starves() {
    let node = paused().await;
    let old_low = send(&node, Priority::Low).await;
    tokio::time::sleep(secs(2)).await;
    let low = send(&node, Priority::Low).await;
    tokio::time::sleep(secs(599)).await;
    let normal = send(&node, Priority::Normal).await;
    assert_eq!(arrived(&node).await, [old_low, normal, low]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_event_waits_its_time() {
    let settings = Settings::default();
    let node = Node::alone(&["a"], settings, |_| Reply::Status(200)).await;
    let start = node.pipeline.now();
    let send = SendOptions {
        delay: secs(90),
        ..outgoing(None)
    };
    node.send(&send).await.unwrap();
    node.send_to("a").await;
    assert!(!node.drain(secs(60)).await, "it still waits");
    assert!(node.drain(secs(60)).await);
    let calls = node.transport.calls();
    assert!(calls[0].at.since(start) < millis(10));
    let waited = calls[1].at.since(start);
    assert!(waited >= secs(90) && waited < millis(90_050), "{waited:?}");
}

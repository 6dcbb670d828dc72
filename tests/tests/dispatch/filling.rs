//! Batches fill in the storage: what fills takes nothing from others, and is lost with no process.

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{BATCH_EVENT, BatchConfig, WebhookEndpoint};
use webhooks_delivery::Settings;
use webhooks_tests::{Reply, ScriptedTransport};

use crate::support::*;

fn batching(id: &str, max_events: u32, max_wait_ms: u64) -> WebhookEndpoint {
    WebhookEndpoint {
        url: format!("https://{id}.example.com/"),
        batch: Some(BatchConfig {
            max_events,
            max_wait_ms,
            max_bytes: 16 << 20,
        }),
        ..endpoint(id)
    }
}

const THREE: [&str; 3] = ["a", "b", "c"];

/// How long a delivery to another endpoint takes.
async fn time_of_another(node: &Node) -> std::time::Duration {
    let sent_at = node.pipeline.now();
    let id = node.send_to("other").await;
    loop {
        let record = node.record(id).await;
        if record.state == webhooks_core::DeliveryState::Delivered {
            return record.attempts[0].started_at.since(sent_at);
        }
        tokio::time::sleep(millis(10)).await;
        assert!(node.pipeline.now().since(sent_at) < secs(50), "it waits");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_fill_do_not_delay_others() {
    let node = Node::alone(&["other"], Settings::default(), |_| Reply::Status(200)).await;
    for id in THREE {
        node.add(batching(id, 1_000, 60_000)).await;
        node.send_many(id, 999).await;
    }
    let mut worst = secs(0);
    for _ in 0..20 {
        worst = worst.max(time_of_another(&node).await);
    }
    assert!(worst < millis(500), "{worst:?}");
    assert_eq!(node.counts().await.leased, 0, "what fills is not in hand");
    assert!(node.drain(secs(70)).await);
    let calls = node.transport.calls();
    let batches = calls.iter().filter(|call| call.event_type == BATCH_EVENT);
    assert_eq!(batches.count(), 3, "each goes whole");
}

#[tokio::test(start_paused = true)]
async fn batches_that_hang_do_not_delay_others() {
    let node = Node::alone(&["other"], Settings::default(), |call| {
        match call.event_type == BATCH_EVENT {
            true => Reply::Hang,
            false => Reply::Status(200),
        }
    })
    .await;
    for id in THREE {
        node.add(batching(id, 1_000, 60_000)).await;
        node.send_many(id, 3_000).await;
    }
    tokio::time::sleep(secs(5)).await;
    let took = time_of_another(&node).await;
    assert!(took < millis(500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_or_removed_batch_lets_go_what_fills() {
    let node = Node::alone(&[], Settings::default(), |_| Reply::Status(200)).await;
    for (n, changed) in [
        batching("a", 5, 60_000),
        batching("a", 100, 3_000),
        endpoint("a"),
    ]
    .into_iter()
    .enumerate()
    {
        node.add(batching("a", 100, 60_000)).await;
        node.send_many("a", 5).await;
        tokio::time::sleep(secs(4)).await;
        assert_eq!(node.counts().await.ready, 5);
        // By another process, of which this one learns with its next beat.
        node.storage.save_endpoint(&changed).await.unwrap();
        assert!(node.drain(secs(2)).await, "change {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_on_filling_when_its_process_ends() {
    let (storage, transport) = (storage(), ScriptedTransport::new(|_| Reply::Status(200)));
    let first = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
    first.add(batching("a", 10, 30_000)).await;
    first.add(batching("b", 10, 30_000)).await;
    let start = first.pipeline.now();
    first.send_many("a", 5).await;
    first.send_many("b", 5).await;
    tokio::time::sleep(secs(10)).await;
    first.pipeline.shut_down(secs(1)).await;
    let second = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
    second.pipeline.ready().await.unwrap();
    tokio::time::sleep(secs(5)).await;
    assert!(transport.calls().is_empty());
    second.send_many("a", 5).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(transport.calls().len(), 1, "it is full");
    assert!(second.drain(secs(30)).await);
    let calls = transport.calls();
    assert_eq!(calls.len(), 2);
    let waited = calls[1].at.since(start);
    assert!(waited >= secs(30) && waited < millis(30_200), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_due_batch_that_was_held_back_does_not_wait_again() {
    let node = Node::alone(&[], Settings::default(), |call| match call.nth {
        1 => Reply::RetryAfter(429, secs(30)),
        _ => Reply::Status(200),
    })
    .await;
    node.add(batching("a", 10, 60_000)).await;
    let start = node.pipeline.now();
    // The second batch is in hand when the first is answered.
    node.send_many("a", 20).await;
    tokio::time::sleep(secs(32)).await;
    let calls = node.transport.calls();
    assert!(calls.len() >= 2, "{calls:?}");
    assert!(calls[1].at.since(start) < secs(32));
}

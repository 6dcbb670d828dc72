use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use webhooks_core::{
    BATCH_EVENT, BatchConfig, DeadReason, DeliveryState, RateLimitConfig, RetryStrategy,
    WebhookEndpoint,
};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply};

use crate::support::*;

const TEN: BatchConfig = BatchConfig {
    max_events: 10,
    max_wait_ms: 1_000,
    max_bytes: 1 << 20,
};

async fn batching(
    batch: BatchConfig,
    retry_strategy: RetryStrategy,
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> Node {
    let settings = Settings {
        retry_strategy,
        ..Default::default()
    };
    let node = Node::alone(&[], settings, script).await;
    node.add(WebhookEndpoint {
        batch: Some(batch),
        ..endpoint("a")
    })
    .await;
    node
}

/// The ids of the events that a request carries.
fn events(call: &Call) -> Vec<String> {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["id"], call.event_id.to_string());
    assert_eq!(body["event"], call.event_type);
    if call.event_type != BATCH_EVENT {
        return vec![call.event_id.to_string()];
    }
    let inner = body["data"]["events"].as_array().unwrap();
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    inner.iter().map(id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_and_the_rest_after_its_wait() {
    let node = batching(TEN, every(secs(1), 3), |_| Reply::Status(200)).await;
    let start = node.pipeline.now();
    node.send_many("a", 25).await;
    assert!(node.drain(secs(10)).await);
    let calls = node.transport.calls();
    let sizes: Vec<_> = calls.iter().map(|call| events(call).len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    assert!(calls[1].at.since(start) < millis(50));
    let waited = calls[2].at.since(start);
    assert!(
        waited >= millis(1_000) && waited < millis(1_100),
        "{waited:?}"
    );
    let all: BTreeSet<_> = calls.iter().flat_map(events).collect();
    assert_eq!(all.len(), 25);
    let own: BTreeSet<_> = calls.iter().map(|call| call.event_id).collect();
    assert_eq!(own.len(), 3);
    assert!(own.iter().all(|id| !all.contains(&id.to_string())));
    assert!(calls.iter().all(|call| call.event_type == BATCH_EVENT));
    assert_eq!(node.counts().await.delivered, 25);
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_to_its_bytes() {
    let batch = BatchConfig {
        max_bytes: 400,
        ..TEN
    };
    let node = batching(batch, every(secs(1), 3), |_| Reply::Status(200)).await;
    node.send_many("a", 9).await;
    assert!(node.drain(secs(20)).await);
    let calls = node.transport.calls();
    let sizes: Vec<_> = calls.iter().map(|call| events(call).len()).collect();
    assert_eq!(sizes, [2, 2, 2, 2, 1], "an event has about 150 bytes");
    let large = BatchConfig {
        max_bytes: 1,
        ..TEN
    };
    let node = batching(large, every(secs(1), 3), |_| Reply::Status(200)).await;
    node.send_many("a", 3).await;
    assert!(node.drain(secs(20)).await);
    assert_eq!(node.transport.calls().len(), 3, "a larger event goes alone");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_counts_for_each_and_each_ends_on_its_own() {
    let node = batching(TEN, every(secs(5), 2), |_| Reply::Status(500)).await;
    let ids = node.send_many("a", 10).await;
    assert!(node.drain(secs(60)).await);
    let mut attempts = BTreeMap::new();
    for event in node.transport.calls().iter().flat_map(events) {
        *attempts.entry(event).or_insert(0) += 1;
    }
    assert_eq!(attempts.len(), 10);
    assert!(
        attempts.values().all(|attempts| *attempts == 3),
        "{attempts:?}"
    );
    for id in ids {
        let record = node.record(id).await;
        assert_eq!(record.dead_reason, Some(DeadReason::AttemptsExhausted));
        assert_eq!((record.delivery.attempts, record.attempts.len()), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_goes_singly_and_is_not_counted() {
    for status in [400, 413, 422] {
        let node = batching(TEN, every(secs(1), 2), move |call| {
            let is_first = call.event_type != BATCH_EVENT && call.nth == 2;
            let is_bad = call.event_type == BATCH_EVENT || is_first || call.number > 1;
            Reply::Status(if is_bad { status } else { 200 })
        })
        .await;
        let ids = node.send_many("a", 10).await;
        assert!(node.drain(secs(60)).await);
        let calls = node.transport.calls();
        assert_eq!(calls[0].event_type, BATCH_EVENT);
        let singly: Vec<_> = calls.iter().skip(1).take(10).collect();
        assert!(singly.iter().all(|call| call.event_type != BATCH_EVENT));
        assert!(singly.iter().all(|call| call.number == 1));
        let counts = node.counts().await;
        assert_eq!((counts.delivered, counts.dead), (9, 1), "{status}");
        for id in ids {
            let record = node.record(id).await;
            if record.state == DeliveryState::Delivered {
                assert_eq!(
                    record.attempts.len(),
                    1,
                    "the batch's attempt is not counted"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_limited_in_rate_is_not_refused() {
    let node = batching(TEN, every(secs(1), 2), |call| match call.nth {
        1 => Reply::RetryAfter(429, secs(30)),
        _ => Reply::Status(200),
    })
    .await;
    node.send_many("a", 10).await;
    assert!(node.drain(secs(60)).await);
    let calls = node.transport.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].event_type, BATCH_EVENT);
    assert_eq!(calls[1].number, 2);
    assert!(gap(&calls[0], &calls[1]) >= secs(30));
}

#[tokio::test(start_paused = true)]
async fn many_batches_keep_to_the_cap_of_the_endpoint() {
    let settings = Settings {
        max_in_flight_per_endpoint: 2,
        ..Default::default()
    };
    let node = Node::alone(&[], settings, |_| Reply::Slow(millis(100), 200)).await;
    node.add(WebhookEndpoint {
        batch: Some(TEN),
        ..endpoint("a")
    })
    .await;
    node.send_many("a", 500).await;
    assert!(node.drain(secs(60)).await);
    assert_eq!(node.transport.peak(|_| true), 2);
    let sizes: Vec<_> = node
        .transport
        .calls()
        .iter()
        .map(|c| events(c).len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 500);
    assert!(sizes.len() <= 55, "batches are mostly full: {sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_refused_batch_go_singly_though_tokens_are_short() {
    let node = Node::alone(&[], Settings::default(), |call| {
        Reply::Status(if call.event_type == BATCH_EVENT {
            400
        } else {
            200
        })
    })
    .await;
    node.add(WebhookEndpoint {
        batch: Some(TEN),
        rate_limit: Some(RateLimitConfig {
            requests_per_second: 1,
            burst_size: 1,
        }),
        ..endpoint("a")
    })
    .await;
    node.send_many("a", 10).await;
    assert!(node.drain(secs(60)).await, "{:?}", node.counts().await);
    let calls = node.transport.calls();
    let batches = calls.iter().filter(|call| call.event_type == BATCH_EVENT);
    assert_eq!((batches.count(), calls.len()), (1, 11));
}

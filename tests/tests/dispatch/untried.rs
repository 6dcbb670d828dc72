//! A request that could not be sent, for something that this process lacks.

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{
    BatchConfig, CircuitBreakerConfig, CircuitState, DeliveryState, WebhookEndpoint,
};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::support::*;

const ONE: CircuitBreakerConfig = CircuitBreakerConfig {
    failure_threshold: 1,
    success_threshold: 1,
    timeout_seconds: 60,
    half_open_max_requests: 1,
};

async fn node(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Node {
    let settings = Settings {
        retry_strategy: every(secs(1), 0),
        auto_disable_after: Some(secs(1)),
        ..Default::default()
    };
    let node = Node::start(&storage(), &ScriptedTransport::new(script), ONE, settings);
    node.add(endpoint("a")).await;
    node
}

#[tokio::test(start_paused = true)]
async fn it_is_no_attempt_and_says_nothing_of_the_endpoint() {
    let node = node(|_| Reply::Untried).await;
    let ids = node.send_many("a", 40).await;
    tokio::time::sleep(secs(300)).await;
    for id in &ids {
        let record = node.record(*id).await;
        assert!(!record.state.is_ended(), "{record:?}");
        assert_eq!((record.delivery.attempts, record.attempts.len()), (0, 0));
    }
    let gate = &node.storage.endpoints_since(0, 10).await.unwrap().records[0].gate;
    assert_eq!(
        (gate.failing_since, gate.disabled, gate.max_leased),
        (None, None, None)
    );
    let (attempts, circuit, _) = node.pipeline.endpoint_attempts("a").unwrap();
    assert_eq!(circuit.state, CircuitState::Closed);
    assert_eq!(
        (attempts.failed, attempts.succeeded, attempts.retried),
        (0, 0, 0)
    );

    node.transport.follow(|_| Reply::Status(200));
    assert!(node.drain(secs(60)).await);
    for id in ids {
        let record = node.record(id).await;
        assert_eq!(record.state, DeliveryState::Delivered);
        assert_eq!(
            (record.delivery.attempts, record.attempts[0].number),
            (1, 1)
        );
    }
    assert_balanced(&node.counts().await);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_soon_and_then_ever_more_seldom() {
    let node = node(|_| Reply::Untried).await;
    node.send_to("a").await;
    tokio::time::sleep(secs(200)).await;
    let calls = node.transport.calls();
    assert!(calls.iter().all(|call| call.number == 1));
    assert!((8..=14).contains(&calls.len()), "{}", calls.len());
    assert!(gap(&calls[0], &calls[1]) < secs(3));
    let waits = calls.windows(2).map(|pair| gap(&pair[0], &pair[1]));
    assert!(waits.max().unwrap() < secs(33));
}

#[tokio::test(start_paused = true)]
async fn others_go_on_meanwhile() {
    let node = node(|call| match call.endpoint_id.as_str() {
        "a" => Reply::Untried,
        _ => Reply::Status(200),
    })
    .await;
    node.add(endpoint("b")).await;
    node.send_many("a", 2_000).await;
    let id = node.send_to("b").await;
    tokio::time::sleep(secs(2)).await;
    assert_eq!(node.record(id).await.state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_back_whole() {
    let node = node(|call| match call.nth {
        1..=3 => Reply::Untried,
        _ => Reply::Status(200),
    })
    .await;
    let batch = BatchConfig {
        max_events: 10,
        max_wait_ms: 100,
        max_bytes: 1 << 20,
    };
    node.add(WebhookEndpoint {
        batch: Some(batch),
        ..endpoint("b")
    })
    .await;
    let ids = node.send_many("b", 10).await;
    assert!(node.drain(secs(60)).await);
    for id in ids {
        let record = node.record(id).await;
        assert_eq!(
            (record.state, record.attempts.len()),
            (DeliveryState::Delivered, 1)
        );
    }
}

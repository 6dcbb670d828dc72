use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Deleted, Expected, WebhookStorage};
use webhooks_core::{CircuitBreakerConfig, CircuitState, WebhookEndpoint};
use webhooks_delivery::{Notice, Settings};
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::support::*;

const FIVE: CircuitBreakerConfig = CircuitBreakerConfig {
    failure_threshold: 5,
    success_threshold: 2,
    timeout_seconds: 60,
    half_open_max_requests: 3,
};

async fn node(
    per_endpoint: usize,
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> Node {
    let settings = Settings {
        retry_strategy: every(secs(1), 1_000),
        max_in_flight_per_endpoint: per_endpoint,
        auto_disable_after: None,
        ..Default::default()
    };
    let node = Node::start(&storage(), &ScriptedTransport::new(script), FIVE, settings);
    node.add(endpoint("a")).await;
    node
}

fn state(node: &Node) -> CircuitState {
    node.pipeline.endpoint_attempts("a").unwrap().1.state
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_in_a_row_and_lets_nothing_through_for_its_time() {
    let node = node(1, |_| Reply::Status(500)).await;
    node.send_many("a", 30).await;
    tokio::time::sleep(secs(59)).await;
    let calls = node.transport.calls();
    assert_eq!(calls.len(), 5);
    assert_eq!(state(&node), CircuitState::Open);
    let (_, circuit, _) = node.pipeline.endpoint_attempts("a").unwrap();
    assert_eq!(circuit.reopens_at, Some(calls[4].at.after(secs(60))));

    tokio::time::sleep(secs(600)).await;
    let calls = node.transport.calls();
    let probes = &calls[5..];
    assert!((9..=10).contains(&probes.len()), "{}", probes.len());
    for pair in calls[4..].windows(2) {
        let waited = gap(&pair[0], &pair[1]);
        assert!(waited >= secs(60) && waited < secs(62), "{waited:?}");
    }
    assert_balanced(&node.counts().await);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_few_requests_through_and_successes_close_it() {
    let node = node(16, |call| match call.nth {
        1..=16 => Reply::Fail(webhooks_core::FailureKind::Connect),
        _ => Reply::Slow(millis(500), 200),
    })
    .await;
    let mut notices = node.pipeline.notices();
    node.send_many("a", 60).await;
    tokio::time::sleep(secs(50)).await;
    let failed = node.transport.calls().len();
    assert!((5..=16).contains(&failed), "{failed}");
    node.transport.follow(|_| Reply::Slow(millis(500), 200));
    let gates = node.storage.endpoints_since(0, 10).await.unwrap();
    assert_eq!(
        gates.records[0].gate.max_leased,
        Some(3),
        "other processes too"
    );

    assert!(node.drain(secs(120)).await);
    let calls = node.transport.calls();
    let probes = &calls[failed..];
    assert!(gap(&calls[failed - 1], &probes[0]) >= millis(59_000));
    let early = probes.iter().filter(|c| gap(&probes[0], c) < millis(500));
    assert!((1..=3).contains(&early.count()));
    assert_eq!(state(&node), CircuitState::Closed);
    let gates = node.storage.endpoints_since(0, 10).await.unwrap();
    assert_eq!(gates.records[0].gate.max_leased, None);

    let mut states = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(millis(1), notices.next()).await {
        if let Notice::CircuitChanged { circuit, .. } = notice {
            states.push(circuit.state);
        }
    }
    assert_eq!(states, [CircuitState::Open, CircuitState::Closed]);
    assert_eq!(node.counts().await.delivered, 60);
}

#[tokio::test(start_paused = true)]
async fn at_most_its_probes_are_in_flight_while_half_open() {
    let node = node(16, |_| Reply::Status(500)).await;
    node.send_many("a", 60).await;
    tokio::time::sleep(secs(30)).await;
    let failed = node.transport.calls().len();
    node.transport.follow(|_| Reply::Hang);
    tokio::time::sleep(secs(55)).await;
    assert_eq!(state(&node), CircuitState::HalfOpen);
    let hanging = node.transport.calls().len() - failed;
    assert!((1..=3).contains(&hanging), "{hanging}");
    let (_, _, in_flight) = node.pipeline.endpoint_attempts("a").unwrap();
    assert!((1..=3).contains(&in_flight), "{in_flight}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_shows_a_living_endpoint_resets_the_count() {
    let node = node(1, |call| {
        Reply::Status(if call.nth % 5 == 0 { 404 } else { 500 })
    })
    .await;
    node.send_many("a", 10).await;
    tokio::time::sleep(secs(30)).await;
    assert!(node.transport.calls().len() > 50);
    assert_eq!(state(&node), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_another_process_moves_or_revives_has_a_closed_circuit() {
    for revives in [false, true] {
        let node = node(1, |_| Reply::Status(500)).await;
        node.send_many("a", 5).await;
        tokio::time::sleep(secs(30)).await;
        assert_eq!(state(&node), CircuitState::Open);

        node.transport.follow(|_| Reply::Status(200));
        if revives {
            let now = node.pipeline.now();
            let deleted = node.storage.delete_endpoint("a", Expected::Any, now).await;
            assert_eq!(deleted.unwrap(), Deleted::Deleted);
            node.pipeline.refresh().await.unwrap();
        }
        node.add(WebhookEndpoint {
            url: "https://new.example.com/".into(),
            ..endpoint("a")
        })
        .await;
        node.change("a", GateChange::LimitLeased(None)).await;
        node.change("a", GateChange::Resume).await;
        assert_eq!(state(&node), CircuitState::Closed);
        node.send_to("a").await;
        assert!(node.drain(secs(2)).await, "revives: {revives}");
    }
}

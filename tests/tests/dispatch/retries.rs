use webhooks_core::{DeadReason, DeliveryState, FailureKind, RetryStrategy};
use webhooks_delivery::Settings;
use webhooks_tests::Reply;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn retries_follow_the_schedule_within_its_jitter_and_then_it_is_dead() {
    let settings = Settings {
        retry_strategy: RetryStrategy {
            max_retries: 6,
            initial_delay_ms: 1_000,
            max_delay_ms: 10_000,
            backoff_multiplier: 2.0,
        },
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |_| Reply::Status(500)).await;
    let ids = node.send_many("a", 20).await;
    assert!(node.drain(secs(120)).await);

    for id in ids {
        let mut calls = node.transport.calls_to("a");
        calls.retain(|call| call.delivery_id == id);
        let numbers: Vec<_> = calls.iter().map(|call| call.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        assert!(calls.iter().all(|call| call.body == calls[0].body));
        let delays = [1_000, 2_000, 4_000, 8_000, 10_000, 10_000];
        for (calls, delay) in calls.windows(2).zip(delays) {
            let waited = gap(&calls[0], &calls[1]);
            assert!(waited >= millis(delay * 9 / 10), "{waited:?}");
            assert!(waited <= millis(delay * 11 / 10 + 10), "{waited:?}");
        }
        let record = node.record(id).await;
        assert_eq!(record.state, DeliveryState::Dead);
        assert_eq!(record.dead_reason, Some(DeadReason::AttemptsExhausted));
        assert_eq!((record.delivery.attempts, record.attempts.len()), (7, 7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_answer_ends_it_at_once_and_leaves_the_endpoint_enabled() {
    let settings = Settings::default();
    let node = Node::alone(&["a"], settings, |_| Reply::Status(413)).await;
    let id = node.send_to("a").await;
    assert!(node.drain(secs(5)).await);
    let record = node.record(id).await;
    assert_eq!(record.dead_reason, Some(DeadReason::PermanentFailure));
    assert_eq!(record.attempts[0].failure, Some(FailureKind::TooLarge));
    assert_eq!(node.transport.calls().len(), 1);
    assert!(node.pipeline.endpoint("a").unwrap().endpoint.enabled);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_to_an_endpoint_before_the_time_it_asked_for() {
    let settings = Settings {
        retry_strategy: every(secs(1), 5),
        ..Default::default()
    };
    let node = Node::alone(&["a", "b"], settings, |call| {
        match (call.endpoint_id.as_str(), call.nth) {
            ("a", 1) => Reply::RetryAfter(429, secs(60)),
            _ => Reply::Status(200),
        }
    })
    .await;
    let first = node.send_to("a").await;
    tokio::time::sleep(secs(1)).await;
    for _ in 0..5 {
        tokio::time::sleep(secs(5)).await;
        node.send_to("a").await;
        node.send_to("b").await;
    }
    assert_eq!(node.transport.calls_to("a").len(), 1);
    assert_eq!(node.transport.calls_to("b").len(), 5);
    assert!(node.drain(secs(120)).await);

    let calls = node.transport.calls_to("a");
    assert_eq!(calls.len(), 7);
    for call in &calls[1..] {
        let waited = gap(&calls[0], call);
        assert!(waited >= secs(60) && waited < secs(62), "{waited:?}");
        let number = if call.delivery_id == first { 2 } else { 1 };
        assert_eq!(call.number, number, "what was held back cost no attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn many_answers_together_cannot_shorten_the_time_an_endpoint_asked_for() {
    let settings = Settings {
        retry_strategy: every(millis(10), 50),
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |call| match call.nth {
        1 => Reply::RetryAfter(503, secs(30)),
        2..=16 => Reply::Slow(millis(call.nth as u64 * 50), 500),
        _ => Reply::Status(200),
    })
    .await;
    let sending = (0..40).map(|_| node.send_to("a"));
    futures_util::future::join_all(sending).await;
    for _ in 0..50 {
        tokio::time::sleep(millis(100)).await;
        node.send_to("a").await;
    }
    assert!(node.drain(secs(60)).await);
    let calls = node.transport.calls_to("a");
    let asked = calls.iter().find(|call| call.nth == 1).unwrap();
    for call in calls.iter().filter(|call| call.nth > 16) {
        assert!(gap(asked, call) >= secs(30), "{:?}", gap(asked, call));
    }
    assert_eq!(node.counts().await.delivered, 90);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_longer_than_what_the_endpoint_asked_for_prevails() {
    let settings = Settings {
        retry_strategy: every(secs(100), 5),
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |call| match call.nth {
        1 => Reply::RetryAfter(503, secs(10)),
        _ => Reply::Status(200),
    })
    .await;
    node.send_to("a").await;
    assert!(node.drain(secs(200)).await);
    let calls = node.transport.calls_to("a");
    assert!(gap(&calls[0], &calls[1]) >= secs(90));
}

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;
use webhooks_core::{SendOptions, WebhookEndpoint, WebhookError};
use webhooks_delivery::{Sent, Settings};
use webhooks_storage_memory::{MemoryLimits, MemoryStorage};
use webhooks_tests::{Reply, ScriptedTransport};

use crate::support::*;

fn keyed<'a>(key: &'a str, tenant: Option<&'a str>) -> SendOptions<'a> {
    SendOptions {
        idempotency_key: Some(key),
        tenant,
        ..outgoing(None)
    }
}

/// Whether both tell of the same event and deliveries, whichever of them made them.
fn is_same(one: &Sent, other: &Sent) -> bool {
    (one.event_id, &one.delivery_ids) == (other.event_id, &other.delivery_ids)
}

#[tokio::test(start_paused = true)]
async fn the_same_key_sends_once_within_a_day() {
    let node = Node::alone(&["a"], Settings::default(), |_| Reply::Status(200)).await;
    let sends = join_all((0..50).map(|_| async { node.send(&keyed("k", None)).await })).await;
    let first = sends[0].as_ref().unwrap().clone();
    assert_eq!(first.delivery_ids.len(), 1);
    assert!(
        sends
            .iter()
            .all(|sent| is_same(sent.as_ref().unwrap(), &first))
    );
    let sent = sends
        .iter()
        .filter(|sent| !sent.as_ref().unwrap().duplicate);
    assert_eq!(sent.count(), 1);
    let other_tenant = node.send(&keyed("k", Some("t"))).await.unwrap();
    assert_ne!(other_tenant.event_id, first.event_id);
    assert!(node.drain(secs(1)).await);
    tokio::time::sleep(secs(23 * 3_600)).await;
    assert!(is_same(
        &node.send(&keyed("k", None)).await.unwrap(),
        &first
    ));
    assert_eq!(node.transport.calls().len(), 2);
    tokio::time::sleep(secs(3_601)).await;
    let next = node.send(&keyed("k", None)).await.unwrap();
    assert_ne!(next.event_id, first.event_id);
    assert!(node.drain(secs(1)).await);
    assert_eq!(node.transport.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_kept_also_when_nothing_matched() {
    let node = Node::alone(&[], Settings::default(), |_| Reply::Status(200)).await;
    let first = node.send(&keyed("k", None)).await.unwrap();
    assert!(first.delivery_ids.is_empty());
    node.add(endpoint("a")).await;
    assert!(is_same(
        &node.send(&keyed("k", None)).await.unwrap(),
        &first
    ));
    assert_eq!(node.counts().await.enqueued, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_to_its_tenant_and_to_those_without_one() {
    let node = Node::alone(&["all"], Settings::default(), |_| Reply::Status(200)).await;
    for id in ["t1", "t2"] {
        node.add(WebhookEndpoint {
            tenant: Some(id.into()),
            ..endpoint(id)
        })
        .await;
    }
    let cases: [(Option<&str>, &[&str]); 4] = [
        (None, &["all"]),
        (Some("t1"), &["all", "t1"]),
        (Some("t2"), &["all", "t2"]),
        (Some("t3"), &["all"]),
    ];
    for (tenant, expected) in cases {
        let before = node.transport.calls().len();
        let send = SendOptions {
            tenant,
            ..outgoing(None)
        };
        node.send(&send).await.unwrap();
        assert!(node.drain(secs(1)).await);
        let calls = node.transport.calls();
        let went: BTreeSet<_> = calls[before..]
            .iter()
            .map(|c| c.endpoint_id.as_str())
            .collect();
        assert_eq!(went, expected.iter().copied().collect(), "{tenant:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_send_is_sent_whole_or_not_at_all_and_leaks_nothing() {
    let settings = Settings {
        max_in_flight: 4,
        max_in_flight_per_endpoint: 2,
        ..Default::default()
    };
    let node = Node::alone(&["a", "b"], settings, |_| Reply::Slow(millis(5), 200)).await;
    for polls in 0..300 {
        let send = outgoing(None);
        let mut sending = pin!(node.send(&send));
        for _ in 0..polls % 4 {
            if sending.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert!(node.drain(secs(60)).await);
    let counts = node.counts().await;
    assert_eq!(counts.delivered, counts.enqueued);
    assert_eq!(counts.enqueued % 2, 0, "an event goes to both or to none");
    assert_eq!(node.transport.calls().len() as u64, counts.enqueued);
    for id in ["a", "b"] {
        assert_eq!(node.pipeline.endpoint_attempts(id).unwrap().2, 0);
    }
    // Every slot is there again.
    node.transport.follow(|_| Reply::Hang);
    node.send_many("a", 5).await;
    node.send_many("b", 5).await;
    tokio::time::sleep(secs(1)).await;
    let (_, _, a) = node.pipeline.endpoint_attempts("a").unwrap();
    let (_, _, b) = node.pipeline.endpoint_attempts("b").unwrap();
    assert_eq!((a, b), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_events_gives_each_its_own_answer() {
    let node = Node::alone(&["a"], Settings::default(), |_| Reply::Status(200)).await;
    let data = json!({});
    let bad = SendOptions {
        event_type: "user..created",
        ..outgoing(None)
    };
    let unmatched = SendOptions {
        event_type: "order.paid",
        ..outgoing(None)
    };
    let events = [
        (outgoing(None), &data),
        (bad, &data),
        (unmatched, &data),
        (keyed("k", None), &data),
        (keyed("k", None), &data),
        (outgoing(Some("nobody")), &data),
    ];
    let answers = node.pipeline.send_all(&events).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().delivery_ids.len(), 1);
    assert!(matches!(answers[1], Err(WebhookError::InvalidEvent(_))));
    assert!(answers[2].as_ref().unwrap().delivery_ids.is_empty());
    assert!(is_same(
        answers[3].as_ref().unwrap(),
        answers[4].as_ref().unwrap()
    ));
    assert!(matches!(answers[5], Err(WebhookError::EndpointNotFound(_))));
    assert!(node.drain(secs(1)).await);
    assert_eq!(node.transport.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_full_storage_refuses_does_not_fail_those_that_share_its_commit() {
    let limits = MemoryLimits {
        deliveries: 5,
        ..Default::default()
    };
    let storage = Arc::new(MemoryStorage::new().with_limits(limits));
    let transport = ScriptedTransport::new(|_| Reply::Hang);
    let node = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
    node.add(endpoint("a")).await;
    let data = json!({});
    let ten = vec![(outgoing(None), &data); 10];
    let one = outgoing(None);
    let (ten, one) = tokio::join!(node.pipeline.send_all(&ten), node.send(&one));
    assert!(matches!(ten, Err(WebhookError::Overloaded(_))));
    assert_eq!(one.unwrap().delivery_ids.len(), 1);
    assert_eq!(node.counts().await.enqueued, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_can_send_what_receivers_take_for_the_system() {
    let node = Node::alone(&["a"], Settings::default(), |_| Reply::Status(200)).await;
    for event_type in ["webhook.batch", "webhook.ping"] {
        let send = SendOptions::new(event_type);
        let error = node.send(&send).await.unwrap_err();
        assert!(error.to_string().contains(event_type), "{error}");
    }
    node.send(&SendOptions::new("webhook.sent")).await.unwrap();
}

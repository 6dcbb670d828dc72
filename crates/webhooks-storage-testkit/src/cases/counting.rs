//! How many there are, without listing them.

use std::sync::Arc;

use webhooks_core::storage::spi::{GateChange, SettleAs};
use webhooks_core::storage::{DeliveryQuery, GroupBy, MAX_GROUPS};
use webhooks_core::{DeadReason, DeliveryState, FailureKind, WebhookError};

use crate::bench::{Bench, DEAD, event};

/// A count meets the same deliveries as a listing, and stops at its bound.
pub(crate) async fn a_count_is_that_of_the_query(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.dead_one("b").await;
    t.send_many("a", 12).await;
    t.send_many("b", 3).await;
    let count =
        async |query: &DeliveryQuery, at_most| t.storage.count(query, at_most).await.unwrap();
    let all = DeliveryQuery::default();
    assert_eq!(count(&all, 1_000).await, 16);
    assert_eq!(count(&DeliveryQuery::of_endpoint("a"), 1_000).await, 12);
    assert_eq!(count(&DeliveryQuery::of_endpoint("a"), 5).await, 5);
    assert_eq!(count(&all, 0).await, 0);
    let dead = DeliveryQuery {
        states: vec![DeliveryState::Dead],
        // Neither the page nor its size counts.
        limit: 1,
        ..DeliveryQuery::default()
    };
    assert_eq!(count(&dead, 1_000).await, 1);
    let bad = t.storage.count(&DeliveryQuery::of_endpoint(""), 10).await;
    assert!(matches!(bad, Err(WebhookError::InvalidQuery(_))));
}

/// What operators look at first: who fails, and how.
pub(crate) async fn deliveries_are_counted_in_groups(t: &Bench) {
    t.save(&["a", "b"]).await;
    for (endpoint, failure, count) in [
        ("a", FailureKind::Timeout, 3),
        ("a", FailureKind::ServerError, 2),
        ("b", FailureKind::Timeout, 1),
    ] {
        for _ in 0..count {
            let delivery = t.lease_one(endpoint).await;
            let mut settlement = t.failed(&delivery, DEAD);
            settlement.attempt.as_mut().unwrap().failure = Some(failure);
            t.settle(&[settlement]).await;
        }
    }
    let all = DeliveryQuery::default();
    let by = [GroupBy::EndpointId, GroupBy::LastFailure];
    let groups = t.storage.count_by(&all, &by, 1_000).await.unwrap();
    let found = groups.groups.iter().map(|group| {
        let key = &group.key;
        assert_eq!((key.dead_reason, key.event_type.is_none()), (None, true));
        (
            key.endpoint_id.as_deref().unwrap(),
            key.last_failure.unwrap(),
            group.count,
        )
    });
    let found: Vec<_> = found.collect();
    let expected = [
        ("a", FailureKind::Timeout, 3),
        ("a", FailureKind::ServerError, 2),
        ("b", FailureKind::Timeout, 1),
    ];
    assert_eq!(found, expected);
    assert_eq!((groups.counted, groups.capped), (6, false));
    let by = [GroupBy::DeadReason, GroupBy::EventType];
    let groups = t.storage.count_by(&all, &by, 1_000).await.unwrap();
    assert_eq!(groups.groups.len(), 1);
    let key = &groups.groups[0].key;
    assert_eq!(key.dead_reason, Some(DeadReason::AttemptsExhausted));
    assert_eq!(key.event_type.as_ref().unwrap().as_str(), "user.created");
    let groups = t.storage.count_by(&all, &by, 4).await.unwrap();
    assert_eq!((groups.counted, groups.capped), (4, true));
}

/// A delivery without what is asked for has a group, too: that of none.
pub(crate) async fn what_was_not_tried_is_a_group_of_its_own(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    t.send_many("a", 2).await;
    let by = [GroupBy::LastFailure];
    let all = DeliveryQuery::default();
    let groups = t.storage.count_by(&all, &by, 1_000).await.unwrap().groups;
    let found: Vec<_> = groups
        .iter()
        .map(|g| (g.key.last_failure, g.count))
        .collect();
    assert_eq!(found, [(None, 2), (Some(FailureKind::ServerError), 1)]);
}

/// The largest come, and no more than a page can show.
pub(crate) async fn the_largest_groups_come(t: &Bench) {
    t.save(&["a"]).await;
    let mut events = Vec::new();
    for n in 0..=MAX_GROUPS {
        for _ in 0..=usize::from(n == 7) {
            let mut new = t.event(&["a"]);
            new.event = Arc::new(event(&format!("type.t{n}"), None, b"{}", t.at(0)));
            events.push(new);
        }
    }
    t.enqueue(&events).await;
    let all = DeliveryQuery::default();
    let groups = t
        .storage
        .count_by(&all, &[GroupBy::EventType], 10_000)
        .await;
    let groups = groups.unwrap();
    assert_eq!(groups.groups.len(), MAX_GROUPS);
    assert_eq!(groups.groups[0].count, 2);
    let first = groups.groups[0].key.event_type.as_ref().unwrap();
    assert_eq!(first.as_str(), "type.t7");
    assert_eq!(groups.counted, MAX_GROUPS as u64 + 2);
    for by in [&[][..], &[GroupBy::EndpointId, GroupBy::EndpointId]] {
        let refused = t.storage.count_by(&all, by, 10).await;
        assert!(matches!(refused, Err(WebhookError::InvalidQuery(_))));
    }
}

/// A page of endpoints is one call.
pub(crate) async fn several_endpoints_are_counted_in_one_call(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.dead_one("b").await;
    t.send_many("a", 2).await;
    let ids = ["b", "nobody", "a", "b"].map(Arc::from);
    let counts = t.storage.counts_of(&ids).await.unwrap();
    let mut expected = Vec::new();
    for id in &ids {
        expected.push(t.counts(Some(id)).await);
    }
    assert_eq!(counts, expected);
    assert!(t.storage.counts_of(&[]).await.unwrap().is_empty());
}

/// The best alert of a queue: since when the one that waits longest has been due.
pub(crate) async fn the_oldest_ready_one_is_told(t: &Bench) {
    let oldest = async || t.storage.oldest_ready(t.at(100)).await.unwrap();
    assert_eq!(oldest().await, None);
    t.save(&["a", "b"]).await;
    let mut old = t.event_at(&["a"], t.at(-50));
    old.due_at = t.at(-50);
    let mut young = t.event_at(&["b"], t.at(-20));
    young.due_at = t.at(-20);
    t.enqueue(&[old, young]).await;
    assert_eq!(oldest().await, Some(t.at(-50)));
    t.gate("a", GateChange::Pause).await;
    assert_eq!(
        oldest().await,
        Some(t.at(-20)),
        "a paused one alarms nobody"
    );
    t.gate("a", GateChange::Resume).await;
    let taken = t.take(0).await;
    assert_eq!(oldest().await, None, "what is leased is not ready");
    let back = SettleAs::Release { at: t.at(5) };
    t.settle_at(&[t.settlement(&taken[0], back)], t.at(10))
        .await;
    assert_eq!(oldest().await, Some(t.at(5)));
}

//! Numbers over time.

use std::sync::Arc;

use webhooks_core::Timestamp;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::storage::{Retention, StatBucket, StatNumbers, StatQuery, StatResolution};

use crate::bench::Bench;

/// Midnight of some day, so that minutes and hours begin where a case says.
fn midnight(t: &Bench) -> Timestamp {
    let day = 86_400_000;
    Timestamp::from_millis(t.at(0).as_millis() / day * day)
}

fn at(t: &Bench, second: i64) -> Timestamp {
    Timestamp::from_millis(midnight(t).as_millis() + second * 1_000)
}

/// So many of everything.
fn numbers(n: u64) -> StatNumbers {
    StatNumbers::from_list(&vec![n; StatNumbers::default().to_list().len()])
}

async fn add(t: &Bench, deltas: &[(&str, i64, u64)]) {
    let deltas = deltas.iter().map(|(id, second, n)| StatDelta {
        endpoint_id: (*id).into(),
        at: at(t, *second),
        numbers: numbers(*n),
    });
    let deltas: Vec<_> = deltas.collect();
    t.storage.add_stats(&deltas).await.unwrap();
}

fn query(t: &Bench, from: i64, to: i64, resolution: StatResolution) -> StatQuery {
    StatQuery {
        endpoint_ids: None,
        from: at(t, from),
        to: at(t, to),
        resolution,
        per_endpoint: false,
    }
}

async fn stats(t: &Bench, query: &StatQuery) -> Vec<StatBucket> {
    t.storage.stats(query).await.unwrap()
}

/// Added up by minute and by hour, element by element.
pub(crate) async fn numbers_add_up_by_minute_and_hour(t: &Bench) {
    if !t.capabilities.statistics {
        return;
    }
    add(t, &[("a", 0, 1), ("b", 59, 2), ("a", 60, 4)]).await;
    add(t, &[("a", 30, 8), ("a", 3_600, 16)]).await;
    let minutes = stats(t, &query(t, 0, 7_200, StatResolution::Minute)).await;
    let expected = [(0, 11), (60, 4), (3_600, 16)];
    let expected = expected.map(|(second, n)| StatBucket::new(at(t, second), None, numbers(n)));
    assert_eq!(minutes, expected);
    let hours = stats(t, &query(t, 0, 7_200, StatResolution::Hour)).await;
    let expected = [(0, 15), (3_600, 16)];
    let expected = expected.map(|(second, n)| StatBucket::new(at(t, second), None, numbers(n)));
    assert_eq!(hours, expected);
}

/// Of some endpoints, of each by itself, and of none: that is what keeps tenants apart.
pub(crate) async fn numbers_are_those_of_the_endpoints_asked_for(t: &Bench) {
    if !t.capabilities.statistics {
        return;
    }
    add(t, &[("a", 0, 1), ("b", 0, 2), ("c", 0, 4), ("a", 60, 8)]).await;
    let some = StatQuery {
        endpoint_ids: Some(vec!["a".into(), "b".into(), "nobody".into()]),
        per_endpoint: true,
        ..query(t, 0, 120, StatResolution::Minute)
    };
    let bucket =
        |second, id: &str, n| StatBucket::new(at(t, second), Some(Arc::from(id)), numbers(n));
    let expected = [bucket(0, "a", 1), bucket(0, "b", 2), bucket(60, "a", 8)];
    assert_eq!(stats(t, &some).await, expected);
    let together = StatQuery {
        per_endpoint: false,
        ..some.clone()
    };
    let expected = [(0, 3), (60, 8)].map(|(s, n)| StatBucket::new(at(t, s), None, numbers(n)));
    assert_eq!(stats(t, &together).await, expected);
    let none = StatQuery {
        endpoint_ids: Some(Vec::new()),
        ..some
    };
    assert!(stats(t, &none).await.is_empty());
    let later = query(t, 60, 120, StatResolution::Minute);
    assert_eq!(stats(t, &later).await.len(), 1);
    assert!(
        stats(t, &query(t, 120, 180, StatResolution::Minute))
            .await
            .is_empty()
    );
}

/// Minutes go after two days and hours after ninety.
pub(crate) async fn old_numbers_go(t: &Bench) {
    if !t.capabilities.statistics {
        return;
    }
    add(t, &[("a", 0, 1)]).await;
    let there = async |resolution| !stats(t, &query(t, 0, 3_600, resolution)).await.is_empty();
    let sweep = async |days: i64| {
        let now = at(t, days * 86_400 + 3_600);
        let swept = t.storage.sweep(&Retention::default(), 1_000, now).await;
        assert!(!swept.unwrap().more);
    };
    sweep(1).await;
    assert!(there(StatResolution::Minute).await);
    sweep(2).await;
    assert!(!there(StatResolution::Minute).await);
    assert!(there(StatResolution::Hour).await);
    sweep(90).await;
    assert!(!there(StatResolution::Hour).await);
}

/// Several processes add to one minute, and nothing of it is lost.
pub(crate) async fn numbers_are_added_side_by_side(t: &Bench) {
    if !t.capabilities.statistics {
        return;
    }
    let tasks = (0..8).map(|_| {
        let storage = t.storage.clone();
        let delta = ["a", "b"].map(|id| StatDelta {
            endpoint_id: id.into(),
            at: at(t, 0),
            numbers: numbers(1),
        });
        tokio::spawn(async move { storage.add_stats(&delta).await.unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let added = stats(t, &query(t, 0, 60, StatResolution::Minute)).await;
    assert_eq!(added, [StatBucket::new(at(t, 0), None, numbers(16))]);
}

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::{Claim, ClaimRoom, HeldLease, SettleAs};
use webhooks_core::{BatchConfig, DeliveryState, Priority, RateLimitConfig, WorkerId};

use crate::bench::{Bench, by_endpoint, endpoint, ids, token};

pub(crate) async fn higher_priorities_go_first(t: &Bench) {
    t.save(&["a"]).await;
    let mut expected = Vec::new();
    for priority in [
        Priority::Low,
        Priority::High,
        Priority::Normal,
        Priority::Critical,
    ] {
        let mut new = t.event(&["a"]);
        new.priority = priority;
        expected.push((priority, new.deliveries[0].id));
        t.enqueue(&[new]).await;
    }
    expected.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids(&t.take(0).await), expected);
}

pub(crate) async fn an_old_low_goes_before_a_new_critical(t: &Bench) {
    t.save(&["a"]).await;
    let mut old = t.event_at(&["a"], t.at(-31 * 60));
    old.priority = Priority::Low;
    let mut young = t.event(&["a"]);
    young.priority = Priority::Critical;
    t.enqueue(&[young.clone(), old.clone()]).await;
    let expected = [old.deliveries[0].id, young.deliveries[0].id];
    assert_eq!(ids(&t.take(0).await), expected);
}

pub(crate) async fn one_priority_goes_in_order_of_sending(t: &Bench) {
    t.save(&["a"]).await;
    let sent = t.send_many("a", 50).await;
    let mut taken = Vec::new();
    for _ in 0..5 {
        let claim = Claim {
            limit: 10,
            ..t.claim_at(t.at(0))
        };
        taken.extend(ids(&t.claim(claim).await.deliveries));
    }
    assert_eq!(taken, sent);
}

pub(crate) async fn what_was_sent_in_one_call_goes_in_its_order(t: &Bench) {
    t.save(&["a", "b"]).await;
    let mut delayed = t.event(&["a"]);
    delayed.due_at = t.at(5);
    let mut events: Vec<_> = (0..20).map(|_| t.event(&["b", "a"])).collect();
    events.insert(10, delayed);
    t.enqueue(&events).await;
    let of = |endpoint: &str| {
        let deliveries = events.iter().flat_map(|event| &event.deliveries);
        let deliveries = deliveries.filter(move |d| &*d.endpoint_id == endpoint);
        deliveries.map(|d| d.id).collect::<Vec<_>>()
    };
    let taken = t.take(5).await;
    for endpoint in ["a", "b"] {
        let taken = taken.iter().filter(|d| &*d.endpoint_id == endpoint);
        let taken: Vec<_> = taken.map(|d| d.id).collect();
        assert_eq!(taken, of(endpoint));
    }
}

pub(crate) async fn every_endpoint_has_its_turn(t: &Bench) {
    let names = ["a", "b", "c", "d", "e"];
    t.save(&names).await;
    t.send_many("a", 200).await;
    for name in &names[1..] {
        t.send_many(name, 10).await;
    }
    let mut served = HashSet::new();
    for _ in 0..names.len() {
        let claim = Claim {
            limit: 4,
            per_endpoint: 4,
            ..t.claim_at(t.at(0))
        };
        let taken = t.claim(claim).await.deliveries;
        assert_eq!(taken.len(), 4);
        served.extend(taken.iter().map(|d| d.endpoint_id.clone()));
    }
    assert_eq!(served.len(), names.len(), "{served:?}");
}

pub(crate) async fn a_claim_takes_at_most_so_many_of_an_endpoint(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 10).await;
    t.send_many("b", 2).await;
    let claim = Claim {
        per_endpoint: 3,
        ..t.claim_at(t.at(0))
    };
    let taken = t.claim(claim).await.deliveries;
    assert_eq!(by_endpoint(&taken), [("a", 3), ("b", 2)].into());
}

pub(crate) async fn room_replaces_the_usual_number(t: &Bench) {
    t.save(&["a", "b", "c"]).await;
    for name in ["a", "b", "c"] {
        t.send_many(name, 10).await;
    }
    let room = |id: &str, deliveries| ClaimRoom {
        endpoint_id: id.into(),
        deliveries,
    };
    let room = [room("a", 0), room("b", 5), room("nobody", 1)];
    let claim = Claim {
        per_endpoint: 2,
        room: &room,
        ..t.claim_at(t.at(0))
    };
    let taken = t.claim(claim).await.deliveries;
    assert_eq!(by_endpoint(&taken), [("b", 5), ("c", 2)].into());
    let rest = t.take(0).await;
    let rest = by_endpoint(&rest);
    assert_eq!(rest, [("a", 10), ("b", 5), ("c", 8)].into());
}

pub(crate) async fn an_endpoint_that_batches_gives_whole_batches(t: &Bench) {
    let mut batching = endpoint("a");
    batching.batch = Some(BatchConfig {
        max_events: 10,
        max_wait_ms: 0,
        max_bytes: 1 << 20,
    });
    t.storage.save_endpoint(&batching).await.unwrap();
    t.save(&["b"]).await;
    t.send_many("a", 50).await;
    t.send_many("b", 50).await;
    let claim = Claim {
        per_endpoint: 2,
        ..t.claim_at(t.at(0))
    };
    let taken = t.claim(claim).await.deliveries;
    assert_eq!(by_endpoint(&taken), [("a", 20), ("b", 2)].into());
}

pub(crate) async fn a_claim_takes_at_most_its_limit(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 10).await;
    t.send_many("b", 10).await;
    let of = |limit| Claim {
        limit,
        ..t.claim_at(t.at(0))
    };
    assert!(t.claim(of(0)).await.deliveries.is_empty());
    assert_eq!(t.claim(of(7)).await.deliveries.len(), 7);
    assert_eq!(t.claim(of(100)).await.deliveries.len(), 13);
}

pub(crate) async fn an_empty_storage_gives_nothing(t: &Bench) {
    let nothing = t.claim(t.claim_at(t.at(0))).await;
    assert!(nothing.deliveries.is_empty() && nothing.next_due.is_none());
}

pub(crate) async fn the_next_due_time_is_never_too_late(t: &Bench) {
    t.save(&["a"]).await;
    for due in [50, 20, 90] {
        let mut new = t.event(&["a"]);
        new.due_at = t.at(due);
        t.enqueue(&[new]).await;
    }
    for due in [20, 50, 90] {
        let mut now = t.at(due - 1);
        let mut calls = 0;
        // A storage may ask to be asked again earlier, but not for ever.
        let taken = loop {
            let claimed = t.claim(t.claim_at(now)).await;
            if !claimed.deliveries.is_empty() {
                break claimed.deliveries;
            }
            calls += 1;
            assert!(calls < 10, "the due time is reached in a few calls");
            let next = claimed.next_due.unwrap();
            assert!(next <= t.at(due), "{next} is after {}", t.at(due));
            now = next.max(now.after(Duration::from_millis(1)));
        };
        assert_eq!(taken[0].due_at, t.at(due));
    }
}

pub(crate) async fn what_became_due_is_ordered_by_priority(t: &Bench) {
    t.save(&["a"]).await;
    let mut normal = t.event(&["a"]);
    normal.due_at = t.at(1);
    let mut high = t.event(&["a"]);
    (high.due_at, high.priority) = (t.at(5), Priority::High);
    t.enqueue(&[normal.clone(), high.clone()]).await;
    let expected = [high.deliveries[0].id, normal.deliveries[0].id];
    assert_eq!(ids(&t.take(5).await), expected);
}

pub(crate) async fn a_claimed_delivery_names_its_lease(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let lease = delivery.lease.as_ref().unwrap();
    assert!(lease.worker == t.worker && lease.token >= 1);
    let listed = t.delivery(delivery.id).await;
    assert_eq!(listed.state, DeliveryState::Leased);
    assert_eq!(listed.delivery.lease, delivery.lease);
}

pub(crate) async fn what_a_worker_holds_is_told_in_pages(t: &Bench) {
    t.save(&["a", "b"]).await;
    let held = async |worker: &WorkerId, limit| {
        let mut all: Vec<HeldLease> = Vec::new();
        loop {
            let after = all.last().map(|lease| lease.delivery_id);
            let page = t.storage.leased_by(worker, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    };
    let other = WorkerId::named("worker_other");
    assert!(held(&t.worker, 3).await.is_empty());
    for id in ["a", "b", "a", "b", "a"] {
        t.send_many(id, 3).await;
    }
    let of_other = Claim {
        worker: &other,
        limit: 4,
        ..t.claim_at(t.at(0))
    };
    let of_other = t.claim(of_other).await.deliveries;
    let mut taken = t.take(0).await;
    // One that came back and was taken again has another token; one that ended is not held.
    let back = t.settlement(&taken[0], SettleAs::Release { at: t.at(0) });
    let ended = t.settlement(&taken[1], SettleAs::Delivered);
    t.settle(&[back, ended]).await;
    taken.drain(..2);
    taken.extend(t.take(0).await);
    taken.sort_by_key(|delivery| delivery.id);
    let expected = taken.iter().map(|delivery| HeldLease {
        delivery_id: delivery.id,
        endpoint_id: delivery.endpoint_id.clone(),
        token: token(delivery),
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!(expected.len(), 10);
    for limit in [1, 3, 10, 1_000] {
        assert_eq!(held(&t.worker, limit).await, expected);
    }
    let mut theirs = ids(&of_other);
    theirs.sort();
    let told = held(&other, 2).await.into_iter();
    assert_eq!(
        told.map(|lease| lease.delivery_id).collect::<Vec<_>>(),
        theirs
    );
}

pub(crate) async fn tokens_only_grow(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    let mut last = 0;
    for _ in 0..4 {
        let taken = t.take(0).await;
        assert!(token(&taken[0]) > last);
        last = token(&taken[0]);
        t.settle(&[t.settlement(&taken[0], SettleAs::Release { at: t.at(0) })])
            .await;
    }
}

pub(crate) async fn what_is_leased_is_nobody_elses(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 5).await;
    assert_eq!(t.take(0).await.len(), 5);
    let other = WorkerId::named("worker_b");
    t.storage.beat(Some(&other), Some(t.at(0))).await.unwrap();
    let claim = Claim {
        worker: &other,
        ..t.claim_at(t.at(0))
    };
    assert!(t.claim(claim).await.deliveries.is_empty());
    assert!(t.take(0).await.is_empty(), "nor the holder's again");
}

pub(crate) async fn many_claimers_share_everything_once(t: &Bench) {
    let names: Vec<_> = (0..10).map(|n| format!("e_{n}")).collect();
    for name in &names {
        t.save(&[name]).await;
        t.send_many(name, 50).await;
    }
    let now = t.at(0);
    let claimers: Vec<_> = (0..8)
        .map(|n| {
            let storage = Arc::clone(&t.storage);
            tokio::spawn(async move {
                let worker = WorkerId::named(&format!("worker_{n}"));
                storage.beat(Some(&worker), Some(now)).await.unwrap();
                let claim = Claim {
                    worker: &worker,
                    now,
                    limit: 7,
                    per_endpoint: 3,
                    room: &[],
                    poison_suspects: 0,
                    rate_limit: None,
                };
                let (mut taken, mut empty) = (Vec::new(), 0);
                // An empty claim may only mean that others were looking at the same rows.
                while empty < 20 {
                    let claimed = storage.claim(&claim).await.unwrap().deliveries;
                    empty = if claimed.is_empty() { empty + 1 } else { 0 };
                    taken.extend(ids(&claimed));
                    tokio::task::yield_now().await;
                }
                taken
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "nothing is claimed twice");
    assert_eq!(all.len(), 500, "everything is claimed");
}

pub(crate) async fn rates_are_kept_where_the_storage_limits_them(t: &Bench) {
    if !t.storage.limits_rate() {
        return;
    }
    let mut limited = endpoint("a");
    limited.rate_limit = Some(RateLimitConfig {
        requests_per_second: 1,
        burst_size: 2,
    });
    t.storage.save_endpoint(&limited).await.unwrap();
    t.send_many("a", 5).await;
    let first = t.claim(t.claim_at(t.at(0))).await;
    assert_eq!(first.deliveries.len(), 2, "a burst");
    assert!(first.next_due.is_some_and(|due| due <= t.at(1)));
    assert_eq!(t.take(1).await.len(), 1, "then one a second");
    assert!(t.take(1).await.is_empty());
}

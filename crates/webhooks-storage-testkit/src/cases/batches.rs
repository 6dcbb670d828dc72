use webhooks_core::storage::{Change, Claim, DeliveryQuery, SettleAs};
use webhooks_core::{BatchConfig, Priority, WorkerId};

use crate::bench::{Bench, endpoint, ids};

/// Saves an endpoint that batches so many events, or waits a minute.
async fn save(t: &Bench, id: &str, max_events: u32) {
    save_with(t, id, Some((max_events, 60_000))).await;
}

async fn save_with(t: &Bench, id: &str, batch: Option<(u32, u64)>) {
    let mut batching = endpoint(id);
    batching.batch = batch.map(|(max_events, max_wait_ms)| BatchConfig {
        max_events,
        max_wait_ms,
        max_bytes: 1 << 20,
    });
    t.storage.save_endpoint(&batching).await.unwrap();
}

pub(crate) async fn a_batch_comes_once_its_number_is_ready(t: &Bench) {
    save(t, "a", 3).await;
    let mut sent = t.send_many("a", 2).await;
    assert!(t.take(0).await.is_empty());
    assert_eq!(t.counts(Some("a")).await.ready, 2);
    sent.push(t.send("a").await);
    assert_eq!(ids(&t.take(0).await), sent);
}

pub(crate) async fn a_batch_comes_once_its_wait_is_over(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 2).await;
    let early = t.claim(t.claim_at(t.at(59))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(60)));
    assert_eq!(ids(&t.take(60).await), sent);
}

pub(crate) async fn the_wait_of_a_batch_begins_when_the_first_is_due(t: &Bench) {
    save(t, "a", 3).await;
    let mut delayed = t.event(&["a"]);
    delayed.due_at = t.at(30);
    delayed.priority = Priority::Critical;
    t.enqueue(&[delayed]).await;
    for early in [29, 35, 61, 89] {
        let claimed = t.claim(t.claim_at(t.at(early))).await;
        assert!(claimed.deliveries.is_empty(), "after {early} s");
        let due = if early < 30 { 30 } else { 90 };
        assert!(claimed.next_due.is_some_and(|at| at <= t.at(due)));
    }
    assert_eq!(t.take(90).await.len(), 1);
}

pub(crate) async fn what_is_given_back_has_waited_since_it_is_due(t: &Bench) {
    save(t, "a", 2).await;
    t.send_many("a", 2).await;
    let held = t.take(0).await;
    let back = |n: usize, at| t.settlement(&held[n], SettleAs::Release { at });
    t.settle(&[back(0, t.at(0))]).await;
    assert!(t.take(59).await.is_empty());
    t.settle(&[back(1, t.at(-60))]).await;
    assert_eq!(t.take(0).await.len(), 2);
}

pub(crate) async fn what_is_left_over_of_whole_batches_waits(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 8).await;
    assert_eq!(ids(&t.take(0).await), sent[..6]);
    let early = t.claim(t.claim_at(t.at(1))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(60)));
    assert_eq!(ids(&t.take(60).await), sent[6..]);
}

pub(crate) async fn a_changed_batch_binds_the_next_claim(t: &Bench) {
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    save_with(t, "a", Some((4, 60_000))).await;
    assert_eq!(t.take(0).await.len(), 4);
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    save_with(t, "a", Some((10, 5_000))).await;
    let early = t.claim(t.claim_at(t.at(1))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(5)));
    assert_eq!(t.take(5).await.len(), 4);
}

pub(crate) async fn a_removed_batch_lets_go_and_a_new_one_holds(t: &Bench) {
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    save_with(t, "a", None).await;
    let some = Claim {
        limit: 1,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(some).await.deliveries.len(), 1);
    save(t, "a", 10).await;
    assert!(t.take(1).await.is_empty());
    t.send_many("a", 6).await;
    assert!(t.take(1).await.is_empty(), "nine are ready");
    t.send("a").await;
    assert_eq!(t.take(1).await.len(), 10);
}

pub(crate) async fn what_left_the_queue_does_not_fill_a_batch(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 2).await;
    let change = async |id, to| {
        let query = DeliveryQuery {
            id: Some(id),
            ..DeliveryQuery::default()
        };
        let changed = t.storage.change(&query, to, 10, t.at(0)).await.unwrap();
        assert_eq!(changed.changed, 1);
    };
    change(sent[0], Change::Cancel).await;
    change(sent[1], Change::Erase).await;
    let mut late = t.event(&["a"]);
    late.due_at = t.at(40);
    t.enqueue(&[late]).await;
    assert!(t.take(99).await.is_empty(), "the one that is left is due");
    assert_eq!(t.take(100).await.len(), 1);
}

pub(crate) async fn a_suspect_comes_without_a_batch_and_fills_none(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    for crash in 0..2 {
        let worker = WorkerId::named(&format!("victim_{crash}"));
        let second = crash * 100;
        t.storage
            .beat(Some(&worker), Some(t.at(second)))
            .await
            .unwrap();
        let claim = Claim {
            worker: &worker,
            ..t.claim_at(t.at(second))
        };
        assert_eq!(t.claim(claim).await.deliveries.len(), 1);
        let rescuer = WorkerId::named("rescuer");
        for later in [10, 13, 16, 19] {
            let at = Some(t.at(second + later));
            t.storage.beat(Some(&rescuer), at).await.unwrap();
        }
    }
    save(t, "a", 3).await;
    let mut fresh = Vec::new();
    for _ in 0..2 {
        let new = t.event_at(&["a"], t.at(200));
        fresh.push(new.deliveries[0].id);
        t.enqueue_at(&[new], t.at(200)).await;
    }
    let without = Claim {
        poison_suspects: 0,
        ..t.claim_at(t.at(200))
    };
    assert!(t.claim(without).await.deliveries.is_empty());
    let taken = t.take(200).await;
    assert_eq!((taken.len(), taken[0].crashes), (1, 2));
    assert_eq!(ids(&t.take(260).await), fresh);
}

pub(crate) async fn filling_batches_do_not_hide_others(t: &Bench) {
    for n in 0..5 {
        let id = format!("a_{n}");
        save(t, &id, 1_000).await;
        t.send_many(&id, 200).await;
    }
    t.save(&["b"]).await;
    let sent = t.send("b").await;
    let one = Claim {
        limit: 1,
        per_endpoint: 1,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(ids(&t.claim(one).await.deliveries), [sent]);
}

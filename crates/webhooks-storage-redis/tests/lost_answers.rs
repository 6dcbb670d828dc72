//! Redis ran a script, and the connection ended before its answer arrived: the client sends the
//! script again, and the call is answered as if nothing had happened.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::types::config::ReconnectPolicy;
use support::proxy::Proxy;
use support::work::{claim, endpoint, event, further, now, ordered, settlement};
use webhooks_core::storage::spi::{
    DeliveredEvent, EndpointGate, Enqueued, GateChange, NewEvent, SettleAs, Settled, Settlement,
};
use webhooks_core::storage::{
    Change, Deleted, DeliveryQuery, Document, Expected, Retention, Saved, WebhookStorage,
};
use webhooks_core::{AttemptRecord, DeadReason, OnDead, Timestamp, WorkerId};
use webhooks_storage_redis::RedisStorage;

struct Bench {
    storage: RedisStorage,
    proxy: Proxy,
    prefix: String,
    worker: WorkerId,
    now: Timestamp,
}

impl Bench {
    async fn new() -> Self {
        let url = support::url();
        let target = url.split("://").nth(1).unwrap().trim_end_matches('/');
        let proxy = Proxy::start(target.to_owned()).await;
        let prefix = support::prefix();
        let storage = support::storage(&proxy.url(), &prefix, 1).await;
        let now = now(&storage).await;
        storage.save_endpoint(&endpoint("a")).await.unwrap();
        Self {
            storage,
            proxy,
            prefix,
            worker: WorkerId::named("worker_a"),
            now,
        }
    }

    /// Loses the answer of the next script.
    fn lose(&self) -> &RedisStorage {
        self.proxy.lose_next(1);
        &self.storage
    }

    async fn end(self, losses: usize) {
        assert_eq!(self.proxy.lost.load(Ordering::SeqCst), losses);
        support::drop_keys(&support::url(), &self.prefix).await;
    }
}

const STORED: Enqueued = Enqueued::Stored {
    missing: Vec::new(),
    dead: Vec::new(),
};

#[tokio::test]
async fn an_enqueue_stores_once() {
    let t = Bench::new().await;
    let mut keyed = event(&["a"], t.now);
    keyed.idempotency_key = Some("k".into());
    let mut leased = event(&["a"], t.now);
    leased.deliveries[0].lease = true;
    let events = [event(&["a", "nobody"], t.now), keyed, leased];
    let worker = Some(&t.worker);
    let answers = t.lose().enqueue(&events, worker, t.now).await.unwrap();
    let missing = vec![events[0].deliveries[1].id];
    let dead = Vec::new();
    assert_eq!(
        answers.answers,
        [Enqueued::Stored { missing, dead }, STORED, STORED]
    );
    let counts = t.storage.counts(None).await.unwrap();
    assert_eq!((counts.enqueued, counts.ready, counts.leased), (3, 2, 1));
    t.end(1).await;
}

#[tokio::test]
async fn a_claim_gives_what_was_leased_at_first() {
    let t = Bench::new().await;
    let events: Vec<_> = (0..10).map(|_| event(&["a"], t.now)).collect();
    t.storage.enqueue(&events, None, t.now).await.unwrap();
    let claimed = t.lose().claim(&claim(&t.worker, t.now, 4)).await.unwrap();
    assert_eq!(claimed.deliveries.len(), 4);
    assert_eq!(t.storage.counts(None).await.unwrap().leased, 4);
    let outcomes: Vec<_> = claimed
        .deliveries
        .iter()
        .map(|delivery| settlement(delivery, SettleAs::Delivered))
        .collect();
    let settled = t.storage.settle(&t.worker, &outcomes, t.now).await.unwrap();
    assert_eq!(settled, [Settled::Applied; 4]);
    let rest = t
        .storage
        .claim(&claim(&t.worker, t.now, 100))
        .await
        .unwrap();
    assert_eq!(rest.deliveries.len(), 6, "nothing is given twice either");
    t.end(1).await;
}

#[tokio::test]
async fn a_claim_that_was_given_up_is_found_again_by_the_next() {
    let t = Bench::new().await;
    let events: Vec<_> = (0..10).map(|_| event(&["a"], t.now)).collect();
    t.storage.enqueue(&events, None, t.now).await.unwrap();
    // More answers are lost than the client sends commands again.
    t.proxy.lose_next(100);
    let limited = claim(&t.worker, t.now, 4);
    let lost = tokio::time::timeout(Duration::from_secs(8), t.storage.claim(&limited)).await;
    assert!(!matches!(lost, Ok(Ok(_))), "that claim has no answer");
    t.proxy.lose_next(0);
    assert_eq!(t.storage.counts(None).await.unwrap().leased, 4);
    let again = t
        .storage
        .claim(&claim(&t.worker, t.now, 100))
        .await
        .unwrap();
    assert_eq!(again.deliveries.len(), 4);
    assert!(
        again.next_due.is_some_and(|due| due <= t.now),
        "and asks for more"
    );
    let rest = t
        .storage
        .claim(&claim(&t.worker, t.now, 100))
        .await
        .unwrap();
    assert_eq!(rest.deliveries.len(), 6);
    support::drop_keys(&support::url(), &t.prefix).await;
}

#[tokio::test]
async fn a_claim_that_is_sent_again_gives_nothing_that_another_has_given_since() {
    let t = Bench::new().await;
    // Of two clients the one that lost an answer needs a while to come back.
    let mut builder = support::builder(&t.proxy.url());
    builder.set_policy(ReconnectPolicy::new_constant(0, 1_000));
    let pool = builder.build_pool(2).unwrap();
    let storage = RedisStorage::builder(pool).key_prefix(&t.prefix);
    let storage = storage.connect().await.unwrap();
    let sent = event(&["a"], t.now);
    t.storage.enqueue(&[sent], None, t.now).await.unwrap();
    let limited = claim(&t.worker, t.now, 10);
    t.proxy.lose_next(1);
    let given_back = async {
        while t.storage.counts(None).await.unwrap().leased == 0 {
            tokio::task::yield_now().await;
        }
        let listed = t.storage.deliveries(&DeliveryQuery::default()).await;
        let listed = listed.unwrap().items.remove(0).delivery;
        let release = [settlement(&listed, SettleAs::Release { at: t.now })];
        t.storage.settle(&t.worker, &release, t.now).await.unwrap();
        storage.claim(&limited).await.unwrap()
    };
    let (first, second) = tokio::join!(storage.claim(&limited), given_back);
    assert_eq!(second.deliveries.len(), 1);
    assert!(first.unwrap().deliveries.is_empty());
    t.end(1).await;
}

#[tokio::test]
async fn a_settlement_is_applied_once_and_says_so() {
    let t = Bench::new().await;
    let events: Vec<_> = (0..3).map(|_| event(&["a"], t.now)).collect();
    t.storage.enqueue(&events, None, t.now).await.unwrap();
    let taken = t.storage.claim(&claim(&t.worker, t.now, 3)).await.unwrap();
    let outcomes = [
        settlement(&taken.deliveries[0], SettleAs::Delivered),
        settlement(&taken.deliveries[1], SettleAs::Retry { at: t.now }),
        settlement(&taken.deliveries[2], SettleAs::Release { at: t.now }),
    ];
    let settled = t.lose().settle(&t.worker, &outcomes, t.now).await.unwrap();
    assert_eq!(settled, [Settled::Applied; 3]);
    let counts = t.storage.counts(None).await.unwrap();
    assert_eq!((counts.delivered, counts.ready, counts.leased), (1, 2, 0));
    let late = t.storage.settle(&t.worker, &outcomes, t.now).await.unwrap();
    assert_eq!(late, [Settled::Stale; 3], "another call is another matter");
    t.end(1).await;
}

#[tokio::test]
async fn a_settlement_that_was_given_up_is_applied_when_tried_again() {
    let t = Bench::new().await;
    t.storage
        .enqueue(&[event(&["a"], t.now)], None, t.now)
        .await
        .unwrap();
    let taken = t.storage.claim(&claim(&t.worker, t.now, 3)).await.unwrap();
    let outcomes = [settlement(&taken.deliveries[0], SettleAs::Delivered)];
    t.proxy.lose_next(100);
    let settle = t.storage.settle(&t.worker, &outcomes, t.now);
    let lost = tokio::time::timeout(Duration::from_secs(8), settle).await;
    assert!(!matches!(lost, Ok(Ok(_))), "that settlement has no answer");
    t.proxy.lose_next(0);
    let again = t.storage.settle(&t.worker, &outcomes, t.now).await.unwrap();
    assert_eq!(again, [Settled::Applied]);
    support::drop_keys(&support::url(), &t.prefix).await;
}

#[tokio::test]
async fn a_late_attempt_is_logged_once() {
    let t = Bench::new().await;
    let sent = event(&["a"], t.now);
    t.storage.enqueue(&[sent], None, t.now).await.unwrap();
    let late = t.storage.claim(&claim(&t.worker, t.now, 1)).await.unwrap();
    let late = &late.deliveries[0];
    let release = settlement(late, SettleAs::Release { at: t.now });
    t.storage
        .settle(&t.worker, &[release], t.now)
        .await
        .unwrap();
    let mut attempt = AttemptRecord::new(late.id, 1, t.now);
    attempt.duration = Duration::from_millis(12);
    attempt.status = Some(200);
    attempt.response = "ok".into();
    let outcome = Settlement {
        attempt: Some(attempt),
        ..settlement(late, SettleAs::Delivered)
    };
    let outcomes = [outcome];
    let settled = t.lose().settle(&t.worker, &outcomes, t.now).await.unwrap();
    assert_eq!(settled, [Settled::Stale]);
    let query = DeliveryQuery {
        with_attempts: true,
        ..DeliveryQuery::default()
    };
    let listed = t.storage.deliveries(&query).await.unwrap();
    assert_eq!(listed.items[0].attempts.len(), 1);
    t.end(1).await;
}

#[tokio::test]
async fn a_beat_counts_once_and_keeps_its_answer() {
    let t = Bench::new().await;
    let at = |seconds: i64| Some(Timestamp::from_millis(t.now.as_millis() + seconds * 1_000));
    t.storage
        .enqueue(&[event(&["a"], t.now)], None, t.now)
        .await
        .unwrap();
    let dead = WorkerId::named("dead");
    t.storage.beat(Some(&dead), at(0)).await.unwrap();
    t.storage.claim(&claim(&dead, t.now, 1)).await.unwrap();
    let first = t.lose().beat(Some(&t.worker), at(20)).await.unwrap();
    assert_eq!(
        first.rescued, 0,
        "one beat that is sent twice is no two beats"
    );
    let second = t.lose().beat(Some(&t.worker), at(23)).await.unwrap();
    assert_eq!(second.rescued, 1);
    assert!(t.lose().beat(Some(&dead), at(24)).await.unwrap().lost);
    t.end(3).await;
}

#[tokio::test]
async fn changes_of_endpoints_are_made_once() {
    let t = Bench::new().await;
    t.lose().save_endpoint(&endpoint("b")).await.unwrap();
    assert!(t.storage.get_endpoint("b").await.unwrap().is_some());
    let gate = |change| EndpointGate {
        endpoint_id: "b".into(),
        epoch: None,
        change,
    };
    let gates = [
        gate(GateChange::Pause),
        gate(GateChange::LimitLeased(Some(2))),
    ];
    t.lose().set_gates(&gates, t.now).await.unwrap();
    let changes = t.storage.endpoints_since(0, 10).await.unwrap();
    let record = changes.records.last().unwrap();
    assert!(record.gate.paused && record.gate.max_leased == Some(2));
    t.storage
        .enqueue(&[event(&["b"], t.now)], None, t.now)
        .await
        .unwrap();
    let deleted = t.lose().delete_endpoint("b", Expected::Any, t.now).await;
    assert_eq!(deleted.unwrap(), Deleted::Deleted);
    let again = t.storage.delete_endpoint("b", Expected::Any, t.now).await;
    assert_eq!(again.unwrap(), Deleted::Absent);
    assert_eq!(t.storage.counts(None).await.unwrap().cancelled, 1);
    t.end(3).await;
}

#[tokio::test]
async fn changes_by_hand_are_made_and_counted_once() {
    let t = Bench::new().await;
    let events: Vec<_> = (0..3).map(|_| event(&["a"], t.now)).collect();
    t.storage.enqueue(&events, None, t.now).await.unwrap();
    let all = DeliveryQuery::default();
    for (to, expected) in [(Change::Erase, 3), (Change::Purge, 3)] {
        let changed = t.lose().change(&all, to, 10, t.now).await.unwrap().changed;
        assert_eq!(changed, expected, "{to:?}");
    }
    let counts = t.storage.counts(None).await.unwrap();
    assert_eq!((counts.enqueued, counts.cancelled), (3, 3));
    t.end(2).await;
}

#[tokio::test]
async fn an_order_goes_on_by_one() {
    let t = Bench::new().await;
    let events: Vec<_> = (0..3)
        .map(|_| ordered("a", "k", OnDead::Hold, t.now))
        .collect();
    t.lose().enqueue(&events, None, t.now).await.unwrap();
    let taken = t.storage.claim(&claim(&t.worker, t.now, 3)).await.unwrap();
    let reason = DeadReason::PermanentFailure;
    let outcomes = [settlement(&taken.deliveries[0], SettleAs::Dead { reason })];
    t.lose().settle(&t.worker, &outcomes, t.now).await.unwrap();
    let all = DeliveryQuery::default();
    let resent = t.lose().change(&all, Change::Resend, 10, t.now).await;
    assert_eq!(resent.unwrap().changed, 1);
    let taken = t.storage.claim(&claim(&t.worker, t.now, 3)).await.unwrap();
    let outcomes = [settlement(&taken.deliveries[0], SettleAs::Delivered)];
    t.lose().settle(&t.worker, &outcomes, t.now).await.unwrap();
    let counts = t.storage.counts(None).await.unwrap();
    assert_eq!((counts.delivered, counts.ready, counts.blocked), (1, 1, 1));
    t.end(4).await;
}

#[tokio::test]
async fn a_further_delivery_is_made_once() {
    let t = Bench::new().await;
    let kept = NewEvent {
        keep: true,
        ..event(&[], t.now)
    };
    let id = kept.event.id;
    t.lose().enqueue(&[kept], None, t.now).await.unwrap();
    let one = further(id, "a", t.now);
    let made = t.lose().deliver_events(std::slice::from_ref(&one), t.now);
    assert_eq!(
        made.await.unwrap(),
        [DeliveredEvent::Exists(one.delivery.id)]
    );
    let counts = t.storage.counts(None).await.unwrap();
    assert_eq!((counts.enqueued, counts.ready), (1, 1));
    t.end(2).await;
}

#[tokio::test]
async fn documents_are_stored_and_deleted_once() {
    let t = Bench::new().await;
    let document = Document {
        id: "d".into(),
        value: "v".into(),
        revision: 0,
        expires_at: None,
    };
    let absent = Expected::Absent;
    let documents = t.lose().documents().unwrap();
    let saved = documents.put("k", &document, absent, t.now).await.unwrap();
    let Saved::Stored(revision) = saved else {
        panic!("it was stored");
    };
    let saved = Expected::Revision(revision);
    t.lose();
    let deleted = documents.delete("k", "d", saved, t.now).await.unwrap();
    assert_eq!(deleted, Deleted::Deleted);
    t.end(2).await;
}

#[tokio::test]
async fn reads_and_sweeps_are_simply_done_again() {
    let t = Bench::new().await;
    t.storage
        .enqueue(&[event(&["a"], t.now)], None, t.now)
        .await
        .unwrap();
    let all = DeliveryQuery::default();
    assert_eq!(t.lose().deliveries(&all).await.unwrap().items.len(), 1);
    assert_eq!(t.lose().counts(None).await.unwrap().ready, 1);
    let changes = t.lose().endpoints_since(0, 10).await.unwrap();
    assert_eq!(changes.records.len(), 1);
    let later = Timestamp::from_millis(t.now.as_millis() + 40 * 86_400_000);
    let retention = Retention::default();
    t.lose().sweep(&retention, 10, later).await.unwrap();
    assert_eq!(t.storage.counts(None).await.unwrap().dead, 1);
    t.end(4).await;
}

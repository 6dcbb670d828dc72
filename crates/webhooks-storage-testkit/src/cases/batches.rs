//! Endpoints that batch. Their deliveries stay in the storage until a batch is due, so that all
//! nodes fill one batch and no worker holds a half of it. The rules are those of the storage
//! contract, "`claim`".

use webhooks_core::storage::spi::{Claim, SettleAs};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{BatchConfig, OnDead, Priority, WorkerId};

use crate::bench::{Bench, endpoint, ids};
use crate::cases::orders::keyed;

/// Saves an endpoint that batches so many events, or waits a minute.
async fn save(t: &Bench, id: &str, max_events: u32) {
    save_with(t, id, Some((max_events, 60_000))).await;
}

/// `batch` is `(max_events, max_wait_ms)`; `None` sends each event by itself.
async fn save_with(t: &Bench, id: &str, batch: Option<(u32, u64)>) {
    let mut batching = endpoint(id);
    batching.batch = batch.map(|(max_events, max_wait_ms)| BatchConfig {
        max_events,
        max_wait_ms,
        max_bytes: 1 << 20,
    });
    t.storage.save_endpoint(&batching).await.unwrap();
}

/// The number alone makes a batch due, long before its wait is over. Until then the deliveries
/// count as ready, not as scheduled.
pub(crate) async fn a_batch_comes_once_its_number_is_ready(t: &Bench) {
    // A wait of a minute, which no claim of this case reaches.
    save(t, "a", 3).await;
    let mut sent = t.send_many("a", 2).await;
    assert!(t.take(0).await.is_empty());
    assert_eq!(t.counts(Some("a")).await.ready, 2);
    sent.push(t.send("a").await);
    assert_eq!(ids(&t.take(0).await), sent);
}

/// The wait alone makes a batch due, however few there are; `next_due` tells of it, or a worker
/// that sleeps until then would sleep on.
pub(crate) async fn a_batch_comes_once_its_wait_is_over(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 2).await;
    let early = t.claim(t.claim_at(t.at(59))).await;
    assert!(early.deliveries.is_empty());
    // Not the end of the wait alone: a storage may ask to be asked earlier.
    assert!(early.next_due.is_some_and(|due| due <= t.at(60)));
    assert_eq!(ids(&t.take(60).await), sent);
}

/// A delayed event has waited for nothing before it is due. Its sort key is much earlier here, by
/// its priority: a storage that counts the wait from the key sends the batch at once.
pub(crate) async fn the_wait_of_a_batch_begins_when_the_first_is_due(t: &Bench) {
    save(t, "a", 3).await;
    let mut delayed = t.event(&["a"]);
    // The priority moves the sort key twenty minutes back, far behind the start.
    delayed.due_at = t.at(30);
    delayed.priority = Priority::Critical;
    t.enqueue(&[delayed]).await;
    // Before it is due, shortly after, when a wait from the start would be over, and a second too
    // early.
    for early in [29, 35, 61, 89] {
        let claimed = t.claim(t.claim_at(t.at(early))).await;
        assert!(claimed.deliveries.is_empty(), "after {early} s");
        let due = if early < 30 { 30 } else { 90 };
        assert!(claimed.next_due.is_some_and(|at| at <= t.at(due)));
    }
    assert_eq!(t.take(90).await.len(), 1);
}

/// A release keeps the due time that it names, and that is what the wait counts from: an event that
/// was given back late goes at once, and one that was given back as due now begins to wait.
pub(crate) async fn what_is_given_back_has_waited_since_it_is_due(t: &Bench) {
    save(t, "a", 2).await;
    t.send_many("a", 2).await;
    let held = t.take(0).await;
    let back = |n: usize, at| t.settlement(&held[n], SettleAs::Release { at });
    // One of two is back: it alone fills no batch, and its wait begins at its new due time.
    t.settle(&[back(0, t.at(0))]).await;
    assert!(t.take(59).await.is_empty());
    // The second is back, and with it the number is met.
    t.settle(&[back(1, t.at(-60))]).await;
    assert_eq!(t.take(0).await.len(), 2);
}

/// Eight of a batch of three: two batches go, and the rest fills the next one. A storage that sends
/// the rest along makes small batches of every backlog.
pub(crate) async fn what_is_left_over_of_whole_batches_waits(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 8).await;
    // Whole batches in their order, not the eight that are ready.
    assert_eq!(ids(&t.take(0).await), sent[..6]);
    let early = t.claim(t.claim_at(t.at(1))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(60)));
    assert_eq!(ids(&t.take(60).await), sent[6..]);
}

/// The definition as it is at the claim decides, also about what was ready before: a lowered number
/// and a shorter wait let go at once what they make due.
pub(crate) async fn a_changed_batch_binds_the_next_claim(t: &Bench) {
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    // The same four, which a smaller batch makes a whole one.
    save_with(t, "a", Some((4, 60_000))).await;
    assert_eq!(t.take(0).await.len(), 4);
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    // The same number, and a shorter wait.
    save_with(t, "a", Some((10, 5_000))).await;
    let early = t.claim(t.claim_at(t.at(1))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(5)));
    assert_eq!(t.take(5).await.len(), 4);
}

/// An endpoint that no longer batches lets everything go, and one that begins to batch holds what
/// is ready already. What was claimed in between does not count for the batch.
pub(crate) async fn a_removed_batch_lets_go_and_a_new_one_holds(t: &Bench) {
    save(t, "a", 10).await;
    t.send_many("a", 4).await;
    assert!(t.take(0).await.is_empty());
    save_with(t, "a", None).await;
    // One of the four, so that three are left for the batch that begins below.
    let some = Claim {
        limit: 1,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(some).await.deliveries.len(), 1);
    save(t, "a", 10).await;
    assert!(t.take(1).await.is_empty());
    // Three are left and six come: one short of ten.
    t.send_many("a", 6).await;
    assert!(t.take(1).await.is_empty(), "nine are ready");
    t.send("a").await;
    assert_eq!(t.take(1).await.len(), 10);
}

/// What was cancelled or erased may still lie in a storage's queue, to be passed over by a claim.
/// It must make no batch due, neither by number nor by having waited.
pub(crate) async fn what_left_the_queue_does_not_fill_a_batch(t: &Bench) {
    save(t, "a", 3).await;
    let sent = t.send_many("a", 2).await;
    let change = async |id, to| {
        let query = DeliveryQuery::of_delivery(id);
        let changed = t.storage.change(&query, to, 10, t.at(0)).await.unwrap();
        assert_eq!(changed.changed, 1);
    };
    change(sent[0], Change::Cancel).await;
    change(sent[1], Change::Erase).await;
    // Due forty seconds from now: its wait of a minute ends at a hundred.
    let mut late = t.event(&["a"]);
    late.due_at = t.at(40);
    t.enqueue(&[late]).await;
    assert!(t.take(99).await.is_empty(), "the one that is left is due");
    assert_eq!(t.take(100).await.len(), 1);
}

/// The wait of a batch counts from its oldest. When that is cancelled the others wait on by their own
/// time: a storage that forgets them with it never sends them.
pub(crate) async fn a_batch_whose_oldest_left_is_due_by_the_next_one(t: &Bench) {
    save(t, "a", 3).await;
    let oldest = t.send("a").await;
    let mut late = t.event(&["a"]);
    late.due_at = t.at(10);
    t.enqueue(&[late]).await;
    let query = DeliveryQuery::of_delivery(oldest);
    let to = Change::Cancel;
    let changed = t.storage.change(&query, to, 10, t.at(20)).await.unwrap();
    assert_eq!(changed.changed, 1);
    assert!(t.take(30).await.is_empty(), "a minute after ten seconds");
    assert!(t.take(69).await.is_empty());
    assert_eq!(t.take(70).await.len(), 1);
}

/// A poison suspect goes alone in its request, so it waits for no batch. Were it to count for one,
/// the batch would go a delivery short.
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
            // Leased by a worker that never beats again.
            worker: &worker,
            ..t.claim_at(t.at(second))
        };
        assert_eq!(t.claim(claim).await.deliveries.len(), 1);
        let rescuer = WorkerId::named("rescuer");
        // Several beats in a row: the first judges nobody, and a storage may need more than one to
        // take all back.
        for later in [10, 13, 16, 19] {
            let at = Some(t.at(second + later));
            t.storage.beat(Some(&rescuer), at).await.unwrap();
        }
    }
    // From here on the endpoint batches; the suspect and two others wait.
    save(t, "a", 3).await;
    let mut fresh = Vec::new();
    for _ in 0..2 {
        let new = t.event_at(&["a"], t.at(200));
        fresh.push(new.deliveries[0].id);
        t.enqueue_at(&[new], t.at(200)).await;
    }
    let without = Claim {
        // Without the suspect there are two of three, and no batch.
        poison_suspects: 0,
        ..t.claim_at(t.at(200))
    };
    assert!(t.claim(without).await.deliveries.is_empty());
    // The suspect alone, at the same moment.
    let taken = t.take(200).await;
    assert_eq!((taken.len(), taken[0].crashes), (1, 2));
    // The two others, once their own wait is over.
    assert_eq!(ids(&t.take(260).await), fresh);
}

/// Five endpoints have much and nothing due. A claim whose limit is one has to get past all of
/// them, or one endpoint that fills slowly keeps every other from being served.
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

/// A batch takes one of each order, and those behind it fill none: they cannot come with it.
pub(crate) async fn a_batch_takes_one_of_each_order(t: &Bench) {
    save(t, "a", 3).await;
    let send = async |key: &str, count: usize| {
        let events = (0..count).map(|_| keyed(t, "a", key, OnDead::Continue));
        let events: Vec<_> = events.collect();
        t.enqueue(&events).await;
        events[0].deliveries[0].id
    };
    let mut heads = vec![send("x", 5).await, send("y", 5).await];
    assert!(
        t.take(0).await.is_empty(),
        "two heads are no batch of three"
    );
    heads.push(send("z", 1).await);
    assert_eq!(ids(&t.take(0).await), heads);
}

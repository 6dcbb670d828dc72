//! Signs of life, and what comes back from workers that stop giving them. The times are those of
//! the contract: silent after twelve seconds, and judged only by a worker that has itself beaten in
//! a row.

use webhooks_core::storage::spi::{Beat, Claim, SettleAs, Settled};
use webhooks_core::{DeadReason, DeliveryState, WebhookDelivery, WorkerId};

use crate::bench::{Bench, token};

/// A second worker, which beats at these seconds; what its last beat told.
async fn rescuer(t: &Bench, beats: &[i64]) -> Beat {
    beat_as(t, "rescuer", beats).await
}

/// Beats as a worker of this name at these seconds; what the last beat told.
async fn beat_as(t: &Bench, name: &str, beats: &[i64]) -> Beat {
    let worker = WorkerId::named(name);
    let mut last = Beat::default();
    for second in beats {
        let at = Some(t.at(*second));
        last = t.storage.beat(Some(&worker), at).await.unwrap();
    }
    last
}

/// Claims one delivery as a worker of this name, right after its beat.
async fn lease_as(t: &Bench, name: &str, second: i64) -> WebhookDelivery {
    beat_as(t, name, &[second]).await;
    let worker = WorkerId::named(name);
    let claim = Claim {
        worker: &worker,
        ..t.claim_at(t.at(second))
    };
    t.claim(claim).await.deliveries.remove(0)
}

/// A caller that gives the time works with that time, in tests and in a replay of a log.
pub(crate) async fn a_beat_tells_the_time_it_is_given(t: &Bench) {
    let beat = t.storage.beat(Some(&t.worker), Some(t.at(3))).await;
    assert_eq!(beat.unwrap().now, t.at(3));
}

/// Without a time given, the storage says what time it is. It goes on, and is no more than an hour
/// from when the case began: a clock in another unit would be.
pub(crate) async fn the_storage_has_a_clock_of_its_own(t: &Bench) {
    let first = t.storage.beat(None, None).await.unwrap().now;
    let second = t.storage.beat(None, None).await.unwrap().now;
    assert!(first <= second, "{first} is after {second}");
    assert!(second < t.at(3_600), "{second} is far from {}", t.at(0));
}

/// The revision is how a node learns, once a second, that it has definitions to read.
pub(crate) async fn a_beat_tells_the_revision(t: &Bench) {
    let before = t.storage.beat(None, None).await.unwrap().revision;
    t.save(&["a"]).await;
    let after = t.storage.beat(None, None).await.unwrap().revision;
    assert!(after > before);
    assert_eq!(after, t.record("a").await.revision);
}

/// A worker that finds a later time here than its own last beat has a copy, as a snapshot of a
/// machine makes one; both would send what is leased. So `before` is of beats by whomever, under
/// one id, and of beats alone.
pub(crate) async fn a_beat_tells_of_the_one_before(t: &Bench) {
    let before = async |name: &str, second| beat_as(t, name, &[second]).await.before;
    assert_eq!(before("first", 3).await, None);
    assert_eq!(before("first", 4).await, Some(t.at(3)));
    assert_eq!(before("second", 5).await, None);
    // It was silent for longer than a worker may be, and the time of its last beat is still told.
    assert_eq!(
        before("first", 30).await,
        Some(t.at(4)),
        "whoever has beaten"
    );
    let read = t.storage.beat(None, Some(t.at(31))).await.unwrap();
    assert_eq!(read.before, None);
}

/// After twelve seconds without a beat a lease is void: the delivery is ready again, has one more
/// crash and no more attempts, and its old holder's outcome is stale.
pub(crate) async fn a_silent_workers_deliveries_come_back(t: &Bench) {
    t.save(&["a"]).await;
    let old = t.lease_one("a").await;
    // At 10 s the rescuer is new, at 13 s it has beaten in a row, and the holder is silent for 13
    // s.
    let beat = rescuer(t, &[10, 13]).await;
    assert_eq!((beat.rescued, beat.lost), (1, false));
    let record = t.delivery(old.id).await;
    assert_eq!(record.state, DeliveryState::Ready);
    assert_eq!((record.delivery.crashes, record.delivery.attempts), (1, 0));
    // The outcome of a lease that was taken back, however true it is.
    let late = t.settle(&[t.failed(&old, SettleAs::Delivered)]).await;
    assert_eq!(late, [Settled::Stale]);
    let again = lease_as(t, "rescuer", 13).await;
    assert!(again.id == old.id && token(&again) > token(&old));
}

/// A worker may start requests until ten seconds after its last beat. What came back before twelve
/// could be sent twice at once.
pub(crate) async fn nothing_comes_back_before_its_time(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    // In a row, and the holder silent for less than 12 s each time.
    let beat = rescuer(t, &[5, 8, 11]).await;
    assert_eq!(beat.rescued, 0);
    assert_eq!(t.state(held.id).await, DeliveryState::Leased);
    assert_eq!(rescuer(t, &[13]).await.rescued, 1);
}

/// A worker that has slept itself finds all others silent. Its first beat proves only that it woke;
/// the second one in a row proves that others had the time to beat.
pub(crate) async fn one_beat_alone_takes_nothing_back(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    assert_eq!(rescuer(t, &[20]).await.rescued, 0);
    // Forty seconds after its own last beat, the rescuer has been silent itself.
    assert_eq!(rescuer(t, &[60]).await.rescued, 0, "that is not in a row");
    assert_eq!(t.state(held.id).await, DeliveryState::Leased);
    // Two seconds after it: now in a row.
    assert_eq!(rescuer(t, &[62]).await.rescued, 1);
}

/// Reading the time is no sign of life and judges nobody: it is also what a tool does that only
/// looks.
pub(crate) async fn a_beat_without_a_worker_only_reads(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    for second in [20, 22, 24] {
        let beat = t.storage.beat(None, Some(t.at(second))).await.unwrap();
        assert_eq!((beat.now, beat.rescued), (t.at(second), 0));
    }
    assert_eq!(t.state(held.id).await, DeliveryState::Leased);
}

/// Beats of the holder, and nothing else, keep its leases, for as long as it likes.
pub(crate) async fn a_worker_that_beats_keeps_its_leases(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    // Every three seconds for a minute, beside a worker that would take its leases.
    for second in (3..60).step_by(3) {
        let at = Some(t.at(second));
        let own = t.storage.beat(Some(&t.worker), at).await.unwrap();
        assert!(!own.lost);
        assert_eq!(rescuer(t, &[second]).await.rescued, 0);
    }
    let settled = t.settle(&[t.failed(&held, SettleAs::Delivered)]).await;
    assert_eq!(settled, [Settled::Applied]);
}

/// Silence alone takes nothing: nobody judged this worker meanwhile, so its leases still stand, and
/// what it has sent counts.
pub(crate) async fn a_slow_worker_that_nobody_gave_up_goes_on(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    // The same worker after forty seconds, and nobody has judged meanwhile.
    let own = t.storage.beat(Some(&t.worker), Some(t.at(40))).await;
    assert!(!own.unwrap().lost);
    let settled = t.settle(&[t.failed(&held, SettleAs::Delivered)]).await;
    assert_eq!(settled, [Settled::Applied]);
}

/// Told once, so that the worker gives up what it holds and starts anew; told again, it would give
/// up its new leases too.
pub(crate) async fn a_worker_that_was_given_up_is_told_once(t: &Bench) {
    t.save(&["a"]).await;
    t.lease_one("a").await;
    rescuer(t, &[10, 13]).await;
    let told = async |second| {
        let at = Some(t.at(second));
        t.storage.beat(Some(&t.worker), at).await.unwrap().lost
    };
    assert!(told(14).await);
    assert!(!told(15).await);
    assert_eq!(t.take(15).await.len(), 1, "it may go on as a new one");
}

/// A delivery that kills its holders would go on to kill all workers. The third death makes it a
/// dead letter, and it stays out of the way until somebody replays it.
pub(crate) async fn the_third_crash_is_poison(t: &Bench) {
    t.save(&["a", "b"]).await;
    let id = t.send("a").await;
    for crash in 0..3 {
        let second = i64::from(crash) * 100;
        // A new worker each time, which leases the same delivery and is never heard of again.
        let victim = lease_as(t, &format!("victim_{crash}"), second).await;
        assert_eq!((victim.id, victim.crashes), (id, crash));
        let beat = rescuer(t, &[second + 10, second + 13]).await;
        assert_eq!(beat.rescued, 1);
    }
    let record = t.delivery(id).await;
    assert_eq!(record.state, DeliveryState::Dead);
    assert_eq!(record.dead_reason, Some(DeadReason::Poison));
    assert_eq!(record.delivery.crashes, 3);
    assert_eq!(t.counts(None).await.dead, 1);
}

/// Nobody is there to send it to, so it ends instead of waiting for ever in the queue of an
/// endpoint that no claim looks at.
pub(crate) async fn what_comes_back_to_a_deleted_endpoint_is_cancelled(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    // While it is leased, so that the deletion leaves it alone.
    t.delete("a", t.at(0)).await;
    rescuer(t, &[10, 13]).await;
    assert_eq!(t.state(held.id).await, DeliveryState::Cancelled);
    assert_eq!(t.counts(None).await.cancelled, 1);
}

/// The backlog of a large node comes back within the promised 20 seconds, none of it twice, and all
/// of it can be claimed.
pub(crate) async fn many_leases_come_back_at_once(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 300).await;
    t.send_many("b", 300).await;
    assert_eq!(t.take(0).await.len(), 600);
    let mut back = 0;
    // A storage may take them back in several beats, but within the promised 20 seconds.
    for second in [10, 13, 16, 19] {
        back += rescuer(t, &[second]).await.rescued;
    }
    assert_eq!(back, 600);
    assert_eq!(t.counts(None).await.ready, 600);
    assert_eq!(t.take(20).await.len(), 600);
}

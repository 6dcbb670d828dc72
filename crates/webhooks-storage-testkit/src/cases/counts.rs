//! Totals and gauges. Every case of the suite that reads counts also checks that they add up
//! ([`Bench::counts`](crate::bench::Bench::counts)); here is what each of them means.

use webhooks_core::storage::spi::{GateChange, SettleAs};
use webhooks_core::storage::{Change, Counts, DeliveryQuery, DisabledBy};

use crate::bench::{Bench, DEAD};

/// All zeros, and no error, also of an endpoint that never was.
pub(crate) async fn an_empty_storage_counts_nothing(t: &Bench) {
    assert_eq!(t.counts(None).await, Counts::default());
    assert_eq!(t.counts(Some("nobody")).await, Counts::default());
}

/// One delivery goes each way. After every step the states add up to what was enqueued, and the
/// counts of endpoints add up to those of all.
pub(crate) async fn every_step_keeps_the_sum(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 8).await;
    t.send_many("b", 2).await;
    let expected = |change: &dyn Fn(&mut Counts)| {
        let mut counts = Counts::default();
        change(&mut counts);
        counts
    };
    assert_eq!(
        t.counts(None).await,
        expected(&|c| (c.enqueued, c.ready) = (10, 10))
    );
    let taken = t.take(0).await;
    assert_eq!(t.counts(None).await.leased, 10);
    // One of each outcome; four stay leased.
    t.settle(&[
        t.failed(&taken[0], SettleAs::Delivered),
        t.failed(&taken[1], DEAD),
        t.failed(&taken[2], DEAD),
        t.failed(&taken[3], SettleAs::Retry { at: t.at(60) }),
        t.settlement(&taken[4], SettleAs::Release { at: t.at(0) }),
        t.settlement(&taken[5], SettleAs::Release { at: t.at(0) }),
    ])
    .await;
    // And then by hand: of the two dead one goes and one waits again; of the two released one is
    // cancelled.
    for (id, to) in [
        (taken[1].id, Change::Purge),
        (taken[2].id, Change::Replay),
        (taken[4].id, Change::Cancel),
    ] {
        let query = DeliveryQuery::of_delivery(id);
        let changed = t.storage.change(&query, to, 10, t.at(0)).await.unwrap();
        assert_eq!(changed.changed, 1);
    }
    let all = t.counts(None).await;
    assert_eq!(
        all,
        expected(&|c| {
            (c.enqueued, c.delivered, c.purged, c.cancelled) = (10, 1, 1, 1);
            (c.ready, c.scheduled, c.leased) = (2, 1, 4);
        })
    );
    let (a, b) = (t.counts(Some("a")).await, t.counts(Some("b")).await);
    assert_eq!((a.enqueued, b.enqueued), (8, 2));
    assert_eq!(a.waiting() + b.waiting(), all.waiting());
    assert_eq!(a.delivered + b.delivered, all.delivered);
}

/// Suspended is what no passing of time will let go: paused and disabled endpoints, with what is
/// ready and what is scheduled. It is a part of those, not a state of its own.
pub(crate) async fn what_closed_endpoints_keep_back_is_suspended(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 3).await;
    t.send_many("b", 2).await;
    let mut later = t.event(&["a"]);
    later.due_at = t.at(60);
    t.enqueue(&[later]).await;
    assert_eq!(t.counts(None).await.suspended, 0);
    t.gate("a", GateChange::Pause).await;
    assert_eq!(t.counts(None).await.suspended, 4);
    // Disabled by failing: it takes events, and none goes.
    t.gate("b", GateChange::Disable(DisabledBy::Failing)).await;
    let all = t.counts(None).await;
    assert_eq!((all.suspended, all.ready, all.scheduled), (6, 5, 1));
    assert_eq!(t.counts(Some("a")).await.suspended, 4);
    assert_eq!(t.counts(Some("b")).await.suspended, 2);
    t.gate("a", GateChange::Resume).await;
    t.gate("b", GateChange::Enable).await;
    assert_eq!(t.counts(None).await.suspended, 0);
}

/// A hold ends by itself and a limit of leases by a settlement, so neither suspends anything.
/// Counted, each `Retry-After` would look like an operator's doing.
pub(crate) async fn a_hold_is_not_counted_as_held(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    // Though nothing could be claimed.
    t.gate("a", GateChange::LimitLeased(Some(0))).await;
    assert_eq!(t.counts(None).await.suspended, 0);
}

/// Kept at least as long as the tombstone: a reader of metrics must not see totals fall.
pub(crate) async fn a_deleted_endpoints_counts_stay(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    t.send("a").await;
    t.delete("a", t.at(0)).await;
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.enqueued, counts.dead, counts.cancelled), (2, 1, 1));
    assert_eq!(t.counts(None).await, counts);
}

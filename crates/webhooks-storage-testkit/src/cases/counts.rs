use webhooks_core::storage::{Change, Counts, DeliveryQuery, DisabledBy, GateChange, SettleAs};

use crate::bench::{Bench, DEAD};

pub(crate) async fn an_empty_storage_counts_nothing(t: &Bench) {
    assert_eq!(t.counts(None).await, Counts::default());
    assert_eq!(t.counts(Some("nobody")).await, Counts::default());
}

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
    t.settle(&[
        t.failed(&taken[0], SettleAs::Delivered),
        t.failed(&taken[1], DEAD),
        t.failed(&taken[2], DEAD),
        t.failed(&taken[3], SettleAs::Retry { at: t.at(60) }),
        t.settlement(&taken[4], SettleAs::Release { at: t.at(0) }),
        t.settlement(&taken[5], SettleAs::Release { at: t.at(0) }),
    ])
    .await;
    for (id, to) in [
        (taken[1].id, Change::Purge),
        (taken[2].id, Change::Replay),
        (taken[4].id, Change::Cancel),
    ] {
        let query = DeliveryQuery {
            id: Some(id),
            ..DeliveryQuery::default()
        };
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
    t.gate("b", GateChange::Disable(DisabledBy::Failing)).await;
    let all = t.counts(None).await;
    assert_eq!((all.suspended, all.ready, all.scheduled), (6, 5, 1));
    assert_eq!(t.counts(Some("a")).await.suspended, 4);
    assert_eq!(t.counts(Some("b")).await.suspended, 2);
    t.gate("a", GateChange::Resume).await;
    t.gate("b", GateChange::Enable).await;
    assert_eq!(t.counts(None).await.suspended, 0);
}

pub(crate) async fn a_hold_is_not_counted_as_held(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    t.gate("a", GateChange::LimitLeased(Some(0))).await;
    assert_eq!(t.counts(None).await.suspended, 0);
}

pub(crate) async fn a_deleted_endpoints_counts_stay(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    t.send("a").await;
    t.storage.delete_endpoint("a", t.at(0)).await.unwrap();
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.enqueued, counts.dead, counts.cancelled), (2, 1, 1));
    assert_eq!(t.counts(None).await, counts);
}

//! What has ended is sent again, however it ended.

use webhooks_core::DeliveryState;
use webhooks_core::storage::spi::SettleAs;
use webhooks_core::storage::{Change, DeliveryQuery};

use crate::bench::{Bench, DEAD, ids, token};

async fn resend(t: &Bench, query: &DeliveryQuery, second: i64) -> usize {
    let changed = t.storage.change(query, Change::Resend, 1_000, t.at(second));
    changed.await.unwrap().changed
}

/// One that was delivered, one dead, one cancelled, and three that wait.
async fn some_of_each(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 5).await;
    let taken = t.take(0).await;
    t.settle(&[
        t.failed(&taken[0], SettleAs::Delivered),
        t.failed(&taken[1], DEAD),
        t.failed(&taken[2], SettleAs::Retry { at: t.at(60) }),
        t.settlement(&taken[3], SettleAs::Release { at: t.at(0) }),
    ])
    .await;
    let cancelled = t.send("a").await;
    let query = DeliveryQuery::of_delivery(cancelled);
    let changed = t.storage.change(&query, Change::Cancel, 1, t.at(0)).await;
    assert_eq!(changed.unwrap().changed, 1);
}

/// Only what has ended; the totals say so, and none is lost or counted twice.
pub(crate) async fn what_has_ended_goes_again(t: &Bench) {
    some_of_each(t).await;
    let before = t.counts(None).await;
    assert_eq!((before.delivered, before.dead, before.cancelled), (1, 1, 1));
    assert_eq!(resend(t, &DeliveryQuery::default(), 1).await, 3);
    let after = t.counts(None).await;
    assert_eq!((after.delivered, after.dead, after.cancelled), (0, 0, 0));
    assert_eq!(after.enqueued, before.enqueued);
    assert_eq!(after.ready, before.ready + 3);
    assert_eq!(t.counts(Some("a")).await, after);
    assert_eq!(resend(t, &DeliveryQuery::default(), 2).await, 0);
}

/// A new series: no attempts, no reasons, behind what waits, and under a larger token.
pub(crate) async fn a_resend_starts_a_new_series(t: &Bench) {
    t.save(&["a"]).await;
    let first = t.lease_one("a").await;
    t.settle(&[t.failed(&first, SettleAs::Delivered)]).await;
    let waiting = t.send("a").await;
    assert_eq!(resend(t, &DeliveryQuery::of_delivery(first.id), 5).await, 1);
    let record = t.delivery(first.id).await;
    assert_eq!(record.state, DeliveryState::Ready);
    assert_eq!(
        (record.delivery.attempts, record.delivery.due_at),
        (0, t.at(5))
    );
    assert_eq!((record.dead_reason, record.cancel_reason), (None, None));
    assert_eq!(record.last_status, None);
    let taken = t.take(5).await;
    assert_eq!(ids(&taken), [waiting, first.id]);
    assert!(token(&taken[1]) > token(&first));
    assert_eq!(*taken[1].event, *first.event);
    let settled = t.failed(&taken[1], SettleAs::Delivered);
    t.settle_at(&[settled], t.at(6)).await;
    let record = t.delivery(first.id).await;
    assert_eq!(
        (record.state, record.delivery.attempts),
        (DeliveryState::Delivered, 1)
    );
    assert_eq!(t.counts(None).await.delivered, 1);
}

/// Nothing goes to another endpoint of the same id, and nothing goes without its payload.
pub(crate) async fn what_cannot_be_sent_is_not_sent_again(t: &Bench) {
    t.save(&["a", "b"]).await;
    for endpoint in ["a", "b"] {
        let delivery = t.lease_one(endpoint).await;
        t.settle(&[t.failed(&delivery, SettleAs::Delivered)]).await;
    }
    let erase = DeliveryQuery::of_endpoint("b");
    t.storage
        .change(&erase, Change::Erase, 10, t.at(0))
        .await
        .unwrap();
    assert_eq!(resend(t, &DeliveryQuery::of_endpoint("b"), 1).await, 0);
    t.delete("a", t.at(1)).await;
    assert_eq!(resend(t, &DeliveryQuery::of_endpoint("a"), 2).await, 0);
    t.save(&["a"]).await;
    assert_eq!(resend(t, &DeliveryQuery::of_endpoint("a"), 3).await, 0);
    assert_eq!(t.counts(None).await.delivered, 2);
}

/// What an earlier step has sent again is not met by a later one.
pub(crate) async fn a_walk_sends_again_once(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 10).await;
    let taken = t.take(0).await;
    let all: Vec<_> = taken
        .iter()
        .map(|delivery| t.settlement(delivery, SettleAs::Delivered))
        .collect();
    t.settle(&all).await;
    let mut query = DeliveryQuery {
        updated_before: Some(t.at(1)),
        ..DeliveryQuery::default()
    };
    let mut sent = 0;
    loop {
        let changed = t.storage.change(&query, Change::Resend, 3, t.at(2)).await;
        let changed = changed.unwrap();
        sent += changed.changed;
        // What goes at once and ends again at once.
        let taken = t.take(2).await;
        let all: Vec<_> = taken
            .iter()
            .map(|delivery| t.settlement(delivery, SettleAs::Delivered))
            .collect();
        t.settle_at(&all, t.at(3)).await;
        if changed.next.is_none() {
            break;
        }
        query.before = changed.next;
    }
    assert_eq!(sent, 10);
}

/// What is sent again is kept as long as what is new.
pub(crate) async fn a_resend_is_young_again(t: &Bench) {
    const DAY: i64 = 86_400;
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    t.settle(&[t.failed(&delivery, SettleAs::Delivered)]).await;
    let query = DeliveryQuery::of_delivery(delivery.id);
    assert_eq!(resend(t, &query, 6 * DAY).await, 1);
    let retention = webhooks_core::storage::Retention::default();
    let swept = t.storage.sweep(&retention, 1_000, t.at(35 * DAY)).await;
    assert!(!swept.unwrap().more);
    assert_eq!(t.state(delivery.id).await, DeliveryState::Ready);
    assert!(
        !t.delivery(delivery.id)
            .await
            .delivery
            .event
            .payload
            .is_empty()
    );
}

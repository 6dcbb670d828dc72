//! What goes by age. Retention is measured here with the defaults: a week for what went well,
//! thirty days for what waits and for the log, ninety for dead letters.

use std::time::Duration;

use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::storage::{Change, DeliveryQuery, Retention};
use webhooks_core::{DeadReason, DeliveryState};

use crate::bench::Bench;

const DAY: i64 = 86_400;

/// Sweeps with the default retention of deliveries until nothing is left; how many rows went. Events
/// are kept here, of which there is a topic of its own.
async fn sweep(t: &Bench, day: i64) -> usize {
    let retention = Retention {
        events: Duration::from_secs(1_000 * 86_400),
        ..Retention::default()
    };
    sweep_with(t, &retention, day).await
}

async fn sweep_with(t: &Bench, retention: &Retention, day: i64) -> usize {
    let mut rows = 0;
    for _ in 0..100 {
        let swept = t.storage.sweep(retention, 1_000, t.at(day * DAY));
        let swept = swept.await.unwrap();
        rows += swept.rows;
        if !swept.more {
            return rows;
        }
    }
    panic!("a sweep never ends");
}

/// How many deliveries are there, in whatever state.
async fn exist(t: &Bench) -> usize {
    t.list(&DeliveryQuery::default()).await.len()
}

/// Six days are less than any retention.
pub(crate) async fn young_things_stay(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    t.send("a").await;
    assert_eq!(sweep(t, 6).await, 0);
    assert_eq!(exist(t).await, 2);
}

/// The rows go, and the totals stay: a metric that falls would look like a restart.
pub(crate) async fn delivered_and_cancelled_ones_go_after_their_time(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 2).await;
    let taken = t.take(0).await;
    t.settle(&[
        t.settlement(&taken[0], SettleAs::Delivered),
        t.settlement(&taken[1], SettleAs::Release { at: t.at(0) }),
    ])
    .await;
    let all = DeliveryQuery::default();
    let cancelled = t.storage.change(&all, Change::Cancel, 10, t.at(0)).await;
    assert_eq!(cancelled.unwrap().changed, 1);
    let before = t.counts(None).await;
    // A day too early, and a day late: retentions are met to the day here.
    assert_eq!(sweep(t, 6).await, 0);
    assert_eq!(sweep(t, 8).await, 2);
    assert_eq!(exist(t).await, 0);
    assert_eq!(t.counts(None).await, before, "totals stay");
    assert_eq!(t.counts(Some("a")).await, before);
}

/// Kept longest, since an operator may still want to replay them. A dead letter that expired is not
/// counted as purged, which is somebody's doing.
pub(crate) async fn dead_letters_go_after_their_time(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    sweep(t, 89).await;
    assert_eq!(exist(t).await, 1);
    assert_eq!(sweep(t, 91).await, 1);
    assert_eq!(exist(t).await, 0);
    let counts = t.counts(None).await;
    assert_eq!((counts.dead, counts.purged), (1, 0), "a total stays");
}

/// The log may go in pieces of a day, so up to two days late; its deliveries stay, without
/// attempts.
pub(crate) async fn the_log_goes_after_its_time(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    sweep(t, 29).await;
    assert_eq!(t.delivery(id).await.attempts.len(), 1);
    sweep(t, 32).await;
    assert!(t.delivery(id).await.attempts.is_empty());
    // The dead letter outlives its attempts.
    assert_eq!(t.state(id).await, DeliveryState::Dead);
}

/// A retention of the log that is shorter than that of deliveries. Also an attempt that was logged
/// late goes by its own time, and none goes early.
pub(crate) async fn the_log_of_what_was_delivered_can_go_before_it(t: &Bench) {
    let retention = Retention {
        log: Duration::from_secs(2 * 86_400),
        ..Retention::default()
    };
    t.save(&["a"]).await;
    t.send_many("a", 2).await;
    let taken = t.take(0).await;
    let (older, younger) = (&taken[0], &taken[1]);
    // The first is delivered now, the second three days later.
    t.settle(&[t.failed(younger, SettleAs::Delivered)]).await;
    sweep_with(t, &retention, 1).await;
    assert_eq!(t.delivery(younger.id).await.attempts.len(), 1);
    sweep_with(t, &retention, 3).await;
    assert!(t.delivery(younger.id).await.attempts.is_empty());

    let late = Settlement {
        attempt: Some(t.attempt(older, t.at(3 * DAY))),
        ..t.settlement(older, SettleAs::Delivered)
    };
    // One day after the late attempt its line is there; after three it is not.
    t.settle_at(&[late], t.at(3 * DAY)).await;
    sweep_with(t, &retention, 4).await;
    assert_eq!(t.delivery(older.id).await.attempts.len(), 1);
    sweep_with(t, &retention, 6).await;
    assert!(t.delivery(older.id).await.attempts.is_empty());
    assert_eq!(exist(t).await, 2);
}

/// What nobody could deliver in thirty days ends where an operator sees it. A leased one does not
/// expire: its request may be under way.
pub(crate) async fn what_waits_too_long_is_dead_as_expired(t: &Bench) {
    t.save(&["a"]).await;
    // One leased and one ready, both of the same age.
    let held = t.lease_one("a").await;
    let ready = t.send("a").await;
    sweep(t, 29).await;
    assert_eq!(t.state(ready).await, DeliveryState::Ready);
    assert_eq!(sweep(t, 31).await, 1);
    let record = t.delivery(ready).await;
    assert_eq!(record.state, DeliveryState::Dead);
    assert_eq!(record.dead_reason, Some(DeadReason::Expired));
    assert_eq!(t.state(held.id).await, DeliveryState::Leased);
    let counts = t.counts(None).await;
    assert_eq!((counts.ready, counts.dead), (0, 1));
    let settled = t
        .settle_at(&[t.settlement(&held, SettleAs::Delivered)], t.at(31 * DAY))
        .await;
    assert_eq!(settled, [Settled::Applied]);
}

/// A delivery that is due in forty days has not waited yet.
pub(crate) async fn what_is_still_to_come_does_not_expire(t: &Bench) {
    t.save(&["a"]).await;
    let mut later = t.event(&["a"]);
    later.due_at = t.at(40 * DAY);
    t.enqueue(&[later]).await;
    assert_eq!(sweep(t, 39).await, 0);
    assert_eq!(t.take(40 * DAY).await.len(), 1);
}

/// The time that it was put off to counts as its beginning: the system is still at it.
pub(crate) async fn what_was_retried_lately_does_not_expire(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    let at = t.at(20 * DAY);
    t.settle_at(&[t.failed(&held, SettleAs::Retry { at })], at)
        .await;
    // Twenty days and thirty are fifty.
    sweep(t, 49).await;
    assert_eq!(t.state(held.id).await, DeliveryState::Ready);
    sweep(t, 51).await;
    assert_eq!(t.state(held.id).await, DeliveryState::Dead);
}

/// Thirty days from the replay, whatever the age of the event, or a sweep would undo it.
pub(crate) async fn a_replay_is_young_again(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    let all = DeliveryQuery::default();
    let replayed = t.storage.change(&all, Change::Replay, 10, t.at(29 * DAY));
    assert_eq!(replayed.await.unwrap().changed, 1);
    // Twenty-nine and thirty are fifty-nine.
    sweep(t, 58).await;
    assert_eq!(t.state(id).await, DeliveryState::Ready);
    sweep(t, 60).await;
    assert_eq!(t.state(id).await, DeliveryState::Dead);
}

/// A step is bounded, so that a large backlog of old rows stops nobody; `more` says to go on, until
/// all have gone.
pub(crate) async fn a_sweep_stops_at_its_limit(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 25).await;
    let retention = Retention::default();
    let mut rows = Vec::new();
    for _ in 0..20 {
        let swept = t.storage.sweep(&retention, 10, t.at(31 * DAY));
        let swept = swept.await.unwrap();
        assert!(swept.rows <= 10);
        rows.push(swept.rows);
        if !swept.more {
            break;
        }
    }
    assert_eq!(rows.iter().sum::<usize>(), 25, "{rows:?}");
    // Ten, ten, and the rest; a storage may take smaller steps.
    assert!(rows.len() >= 3);
}

/// One retention is changed and the others stay as they are. It is met at its time: a second
/// before, nothing goes.
pub(crate) async fn each_retention_can_be_set(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    let retention = Retention {
        dead: Duration::from_secs(60),
        ..Retention::default()
    };
    let swept = t.storage.sweep(&retention, 100, t.at(59)).await.unwrap();
    assert_eq!(swept.rows, 0);
    assert_eq!(t.state(id).await, DeliveryState::Dead);
    let swept = t.storage.sweep(&retention, 100, t.at(61)).await.unwrap();
    assert_eq!(swept.rows, 1);
    assert_eq!(exist(t).await, 0);
}

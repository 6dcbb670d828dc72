//! One more delivery of an event that is kept.

use std::sync::Arc;

use webhooks_core::storage::spi::{
    DeliveredEvent, EventDelivery, GateChange, NewDelivery, SettleAs,
};
use webhooks_core::storage::{Change, DeliveryQuery, Retention};
use webhooks_core::{DeliveryId, EventId, Priority};

use crate::bench::{Bench, event, ids};

/// A delivery of this event to this endpoint.
fn again(t: &Bench, event_id: EventId, endpoint: &str) -> EventDelivery {
    EventDelivery {
        event_id,
        delivery: NewDelivery {
            id: DeliveryId::new(t.at(0)),
            endpoint_id: endpoint.into(),
            incarnation: None,
            by_name: true,
            order: None,
            lease: false,
        },
    }
}

async fn deliver(t: &Bench, all: &[EventDelivery], second: i64) -> Vec<DeliveredEvent> {
    let delivered = t.storage.deliver_events(all, t.at(second)).await;
    delivered.unwrap()
}

/// An endpoint that came later gets the bytes that everybody got, with the priority and the retries of
/// the event.
pub(crate) async fn an_event_goes_to_an_endpoint_that_came_later(t: &Bench) {
    let mut new = t.event(&[]);
    (new.priority, new.max_retries) = (Priority::High, 7);
    t.enqueue(std::slice::from_ref(&new)).await;
    t.save(&["late"]).await;
    let one = again(t, new.event.id, "late");
    let stored = deliver(t, std::slice::from_ref(&one), 5).await;
    assert_eq!(stored, [DeliveredEvent::Stored]);
    let taken = t.take(5).await;
    assert_eq!(ids(&taken), [one.delivery.id]);
    assert_eq!(*taken[0].event, *new.event);
    assert_eq!(
        (taken[0].priority, taken[0].max_retries),
        (Priority::High, 7)
    );
    assert_eq!((taken[0].attempts, taken[0].by_name), (0, true));
    assert_eq!(t.counts(Some("late")).await.enqueued, 1);
}

/// One answer per delivery, in order, and none fails another.
pub(crate) async fn each_delivery_gets_its_answer(t: &Bench) {
    t.save(&["a", "b", "gone"]).await;
    t.delete("gone", t.at(0)).await;
    let (new, erased) = (t.event(&["a"]), t.event(&[]));
    t.enqueue(&[new.clone(), erased.clone()]).await;
    let query = DeliveryQuery::of_event(erased.event.id);
    let change = t.storage.change(&query, Change::Erase, 10, t.at(0)).await;
    assert_eq!(change.unwrap().changed, 0, "it has no delivery");
    let id = new.event.id;
    let mut replaced = again(t, id, "b");
    replaced.delivery.incarnation = Some(u64::MAX >> 1);
    let all = [
        again(t, EventId::new(t.at(0)), "b"),
        again(t, erased.event.id, "b"),
        again(t, id, "gone"),
        again(t, id, "nobody"),
        replaced,
        again(t, id, "a"),
        again(t, id, "b"),
    ];
    let expected = [
        DeliveredEvent::NoEvent,
        DeliveredEvent::Erased,
        DeliveredEvent::Missing,
        DeliveredEvent::Missing,
        DeliveredEvent::Missing,
        DeliveredEvent::Exists(new.deliveries[0].id),
        DeliveredEvent::Stored,
    ];
    assert_eq!(deliver(t, &all, 0).await, expected);
    assert_eq!(t.counts(None).await.enqueued, 2);
}

/// A call that is sent twice makes nothing twice, and says which delivery there is. This holds within
/// one call too.
pub(crate) async fn the_same_delivery_twice_is_made_once(t: &Bench) {
    t.save(&["a"]).await;
    let new = t.event(&[]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let one = again(t, new.event.id, "a");
    let other = again(t, new.event.id, "a");
    let exists = DeliveredEvent::Exists(one.delivery.id);
    let made = deliver(t, &[one.clone(), one.clone(), other.clone()], 0).await;
    assert_eq!(made, [DeliveredEvent::Stored, exists, exists]);
    assert_eq!(deliver(t, &[one, other], 0).await, [exists, exists]);
    assert_eq!(t.counts(None).await.enqueued, 1);
}

/// A delivery that has ended is there still; one that was purged is not.
pub(crate) async fn an_ended_delivery_is_there_until_it_is_purged(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    t.settle(&[t.settlement(&delivery, SettleAs::Delivered)])
        .await;
    let one = again(t, delivery.event.id, "a");
    let exists = DeliveredEvent::Exists(delivery.id);
    assert_eq!(deliver(t, std::slice::from_ref(&one), 0).await, [exists]);
    let query = DeliveryQuery::of_delivery(delivery.id);
    let purged = t.storage.change(&query, Change::Purge, 10, t.at(0)).await;
    assert_eq!(purged.unwrap().changed, 1);
    assert_eq!(deliver(t, &[one], 0).await, [DeliveredEvent::Stored]);
}

/// What is delivered once more takes its place as if it was sent now, not before all that waits.
pub(crate) async fn it_takes_its_place_as_if_sent_now(t: &Bench) {
    t.save(&["a"]).await;
    let mut old = t.event_at(&[], t.at(-3_000));
    old.event = Arc::new(event("a.b", None, b"{}", t.at(-3_000)));
    t.enqueue(&[old.clone()]).await;
    let waiting = t.send("a").await;
    let one = again(t, old.event.id, "a");
    deliver(t, std::slice::from_ref(&one), 10).await;
    assert_eq!(ids(&t.take(10).await), [waiting, one.delivery.id]);
}

/// An event that is to go later is not sent early to whom it is added.
pub(crate) async fn a_delayed_event_waits_for_its_time(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&[]);
    new.due_at = t.at(60);
    t.enqueue(&[new.clone()]).await;
    deliver(t, &[again(t, new.event.id, "a")], 10).await;
    assert!(t.take(59).await.is_empty());
    assert_eq!(t.take(60).await.len(), 1);
}

/// A gate binds claims alone, as with what is enqueued.
pub(crate) async fn a_paused_endpoint_keeps_what_it_is_given(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Pause).await;
    let new = t.event(&[]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let made = deliver(t, &[again(t, new.event.id, "a")], 0).await;
    assert_eq!(made, [DeliveredEvent::Stored]);
    assert!(t.take(0).await.is_empty());
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.take(0).await.len(), 1);
}

/// The endpoint that has the id now has got nothing of what went to the one before.
pub(crate) async fn another_incarnation_gets_it_too(t: &Bench) {
    t.save(&["a"]).await;
    let new = t.event(&["a"]);
    t.enqueue(std::slice::from_ref(&new)).await;
    t.delete("a", t.at(0)).await;
    t.save(&["a"]).await;
    let one = again(t, new.event.id, "a");
    let made = deliver(t, std::slice::from_ref(&one), 0).await;
    assert_eq!(made, [DeliveredEvent::Stored]);
    assert_eq!(ids(&t.take(0).await), [one.delivery.id]);
}

/// It is as young as what is sent now, however old its event is, and keeps that.
pub(crate) async fn it_waits_as_long_as_what_is_sent_now(t: &Bench) {
    const DAY: i64 = 86_400;
    t.save(&["a"]).await;
    let new = t.event(&[]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let one = again(t, new.event.id, "a");
    deliver(t, std::slice::from_ref(&one), 20 * DAY).await;
    let retention = Retention::default();
    let swept = t.storage.sweep(&retention, 1_000, t.at(31 * DAY)).await;
    assert!(!swept.unwrap().more);
    t.storage
        .beat(Some(&t.worker), Some(t.at(31 * DAY)))
        .await
        .unwrap();
    let taken = t.take(31 * DAY).await;
    assert_eq!(ids(&taken), [one.delivery.id]);
    assert_eq!(taken[0].event.payload, new.event.payload);
}

/// Of many that add an endpoint at the same time, one makes the delivery, and all others are told
/// which one it is.
pub(crate) async fn only_one_of_many_makes_it(t: &Bench) {
    t.save(&["a"]).await;
    let new = t.event(&[]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let tasks = (0..8).map(|_| {
        let (storage, one, now) = (t.storage.clone(), again(t, new.event.id, "a"), t.at(0));
        tokio::spawn(async move {
            let id = one.delivery.id;
            let made = storage.deliver_events(&[one], now).await;
            (id, made.unwrap().remove(0))
        })
    });
    let (mut made, mut told) = (Vec::new(), Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (id, DeliveredEvent::Stored) => made.push(id),
            (_, DeliveredEvent::Exists(id)) => told.push(id),
            (_, other) => panic!("neither made nor there: {other:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(told, [made[0]; 7]);
    assert_eq!(t.counts(Some("a")).await.ready, 1);
}

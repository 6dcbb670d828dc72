//! Deliveries that go one after another.

use std::time::Duration;

use webhooks_core::storage::spi::{
    DeliveredEvent, EventDelivery, GateChange, NewDelivery, NewEvent, SettleAs,
};
use webhooks_core::storage::{Change, DeliveryQuery, Retention};
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryOrder, DeliveryState, OnDead, WebhookDelivery,
    WorkerId,
};

use crate::bench::{Bench, DEAD, endpoint, ids};

const DELIVERED: SettleAs = SettleAs::Delivered;

/// An event for one endpoint, which stands in the order of this key there.
pub(super) fn keyed(t: &Bench, endpoint: &str, key: &str, on_dead: OnDead) -> NewEvent {
    let mut new = t.event(&[endpoint]);
    new.deliveries[0].order = Some(DeliveryOrder {
        key: key.into(),
        on_dead,
    });
    new
}

/// Sends so many of one key to `a`, in one call.
async fn send(t: &Bench, key: &str, on_dead: OnDead, count: usize) -> Vec<DeliveryId> {
    let events: Vec<_> = (0..count).map(|_| keyed(t, "a", key, on_dead)).collect();
    t.enqueue(&events).await;
    events.iter().map(|new| new.deliveries[0].id).collect()
}

/// Saves `a` and sends it so many of one key.
async fn begin(t: &Bench, on_dead: OnDead, count: usize) -> Vec<DeliveryId> {
    t.save(&["a"]).await;
    send(t, "key", on_dead, count).await
}

async fn end(t: &Bench, delivery: &WebhookDelivery, settle_as: SettleAs) {
    let counted = !matches!(settle_as, SettleAs::Release { .. });
    let mut settlement = t.settlement(delivery, settle_as);
    settlement.attempt = counted.then(|| t.attempt(delivery, t.at(0)));
    t.settle(&[settlement]).await;
}

async fn change(t: &Bench, id: DeliveryId, to: Change) -> usize {
    let query = DeliveryQuery::of_delivery(id);
    let changed = t.storage.change(&query, to, 10, t.at(1)).await;
    changed.unwrap().changed
}

/// The one that may go, and is claimed.
async fn next(t: &Bench, second: i64) -> WebhookDelivery {
    let mut taken = t.take(second).await;
    assert_eq!(taken.len(), 1, "one at a time");
    taken.remove(0)
}

/// In the order of their commit, and each says in which order it stands.
pub(crate) async fn one_after_another_in_order(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 5).await;
    for (n, id) in sent.iter().enumerate() {
        let counts = t.counts(Some("a")).await;
        let behind = sent.len() - n - 1;
        assert_eq!((counts.ready, counts.blocked), (1, behind as u64));
        let head = next(t, 0).await;
        assert_eq!(head.id, *id);
        let order = head.order.as_ref().unwrap();
        assert_eq!((&*order.key, order.on_dead), ("key", OnDead::Continue));
        assert!(t.take(0).await.is_empty(), "nothing goes beside the head");
        end(t, &head, DELIVERED).await;
    }
    assert_eq!(t.counts(None).await.delivered, 5);
}

/// What the head is not yet done with holds its order, whatever becomes of it meanwhile.
pub(crate) async fn a_head_that_waits_again_stays_the_head(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 2).await;
    let head = next(t, 0).await;
    end(t, &head, SettleAs::Retry { at: t.at(60) }).await;
    assert!(t.take(59).await.is_empty());
    assert_eq!(t.state(sent[1]).await, DeliveryState::Blocked);
    let head = next(t, 60).await;
    assert_eq!(head.id, sent[0]);
    end(t, &head, SettleAs::Release { at: t.at(0) }).await;
    assert_eq!(next(t, 60).await.id, sent[0]);
}

/// However the head ends, the next one goes, ready at once or when it is due.
pub(crate) async fn the_next_goes_however_the_head_ends(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 7).await;
    let head = next(t, 0).await;
    end(t, &head, DELIVERED).await;
    let head = next(t, 0).await;
    end(t, &head, DEAD).await;
    let head = next(t, 0).await;
    let reason = CancelReason::TypeNotTaken;
    end(t, &head, SettleAs::Cancelled { reason }).await;
    assert_eq!(t.state(sent[3]).await, DeliveryState::Ready);
    assert_eq!(change(t, sent[3], Change::Cancel).await, 1);
    assert_eq!(t.state(sent[4]).await, DeliveryState::Ready);
    assert_eq!(change(t, sent[4], Change::Erase).await, 1);
    let head = next(t, 1).await;
    assert_eq!(head.id, sent[5]);
    // Erased while it is leased: it does not wait again, and the next one goes.
    assert_eq!(change(t, sent[5], Change::Erase).await, 1);
    end(t, &head, SettleAs::Retry { at: t.at(0) }).await;
    assert_eq!(next(t, 1).await.id, sent[6]);
}

/// One that may only go later holds those behind it until then, and they wait for their own time.
pub(crate) async fn a_delayed_head_holds_its_order(t: &Bench) {
    t.save(&["a"]).await;
    let mut late = keyed(t, "a", "key", OnDead::Continue);
    late.due_at = t.at(30);
    let mut later = keyed(t, "a", "key", OnDead::Continue);
    later.due_at = t.at(60);
    let events = [late, keyed(t, "a", "key", OnDead::Continue), later];
    t.enqueue(&events).await;
    let sent: Vec<_> = events.iter().map(|new| new.deliveries[0].id).collect();
    assert_eq!(t.state(sent[0]).await, DeliveryState::Scheduled);
    assert!(t.take(29).await.is_empty());
    for (second, id) in [(30, sent[0]), (30, sent[1])] {
        let head = next(t, second).await;
        assert_eq!(head.id, id);
        let settled = t.settlement(&head, DELIVERED);
        t.settle_at(&[settled], t.at(second)).await;
    }
    assert!(t.take(59).await.is_empty());
    assert_eq!(next(t, 60).await.id, sent[2]);
}

/// Other keys, what has none, and the same key of another endpoint wait for nobody.
pub(crate) async fn orders_wait_for_themselves_alone(t: &Bench) {
    t.save(&["a", "b"]).await;
    let events = [
        keyed(t, "a", "one", OnDead::Continue),
        keyed(t, "a", "one", OnDead::Continue),
        keyed(t, "a", "ONE", OnDead::Continue),
        keyed(t, "a", "", OnDead::Continue),
        keyed(t, "b", "one", OnDead::Continue),
        t.event(&["a"]),
    ];
    t.enqueue(&events).await;
    let mut taken = ids(&t.take(0).await);
    taken.sort_unstable();
    let mut expected = [0, 2, 3, 4, 5].map(|n| events[n].deliveries[0].id);
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

/// A dead head that holds its order does so until it is replayed, and goes first then.
pub(crate) async fn a_dead_head_holds_until_it_is_replayed(t: &Bench) {
    let sent = begin(t, OnDead::Hold, 3).await;
    let head = next(t, 0).await;
    end(t, &head, DEAD).await;
    assert!(t.take(0).await.is_empty());
    let later = send(t, "key", OnDead::Hold, 1).await;
    assert_eq!(t.counts(None).await.blocked, 3);
    assert_eq!(change(t, sent[0], Change::Replay).await, 1);
    for id in [sent[0], sent[1], sent[2], later[0]] {
        let head = next(t, 1).await;
        assert_eq!(head.id, id);
        end(t, &head, DELIVERED).await;
    }
}

/// Or until nothing is left of it that could be replayed.
pub(crate) async fn a_held_order_goes_on_without_its_dead_head(t: &Bench) {
    const DAY: i64 = 86_400;
    let sent = begin(t, OnDead::Hold, 4).await;
    let head = next(t, 0).await;
    end(t, &head, DEAD).await;
    assert_eq!(change(t, sent[0], Change::Purge).await, 1);
    let head = next(t, 1).await;
    assert_eq!(head.id, sent[1]);
    end(t, &head, DEAD).await;
    assert_eq!(change(t, sent[1], Change::Erase).await, 1);
    let head = next(t, 1).await;
    assert_eq!(head.id, sent[2]);
    end(t, &head, DEAD).await;
    assert!(t.take(1).await.is_empty());
    // What waits is kept for longer than its dead head.
    let retention = Retention {
        dead: Duration::from_secs(5 * 86_400),
        ..Retention::default()
    };
    let swept = t.storage.sweep(&retention, 1_000, t.at(6 * DAY)).await;
    assert!(!swept.unwrap().more);
    assert_eq!(t.state(sent[3]).await, DeliveryState::Ready);
}

/// What died of its age holds nothing: nobody is to find an order that stands still for it.
pub(crate) async fn an_expired_head_holds_nothing(t: &Bench) {
    const DAY: i64 = 86_400;
    t.save(&["a"]).await;
    let old = keyed(t, "a", "key", OnDead::Hold);
    let mut young = t.event_at(&["a"], t.at(20 * DAY));
    young.deliveries[0]
        .order
        .clone_from(&old.deliveries[0].order);
    let (of_old, of_young) = (old.deliveries[0].id, young.deliveries[0].id);
    t.enqueue(&[old]).await;
    t.enqueue_at(&[young], t.at(20 * DAY)).await;
    let swept = t
        .storage
        .sweep(&Retention::default(), 1_000, t.at(31 * DAY))
        .await;
    assert!(!swept.unwrap().more);
    let record = t.delivery(of_old).await;
    assert_eq!(record.dead_reason, Some(DeadReason::Expired));
    assert_eq!(t.state(of_young).await, DeliveryState::Ready);
}

/// Blocked ones expire as all that waits.
pub(crate) async fn blocked_ones_expire(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 3).await;
    let head = next(t, 0).await;
    let far = t.at(31 * 86_400);
    let swept = t.storage.sweep(&Retention::default(), 1_000, far).await;
    assert!(!swept.unwrap().more);
    for id in &sent[1..] {
        assert_eq!(t.delivery(*id).await.dead_reason, Some(DeadReason::Expired));
    }
    end(t, &head, DELIVERED).await;
    assert_eq!(t.counts(None).await.waiting(), 0);
}

/// A replayed one goes to the end of its order, since the others have gone on.
pub(crate) async fn a_replay_goes_to_the_end(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 3).await;
    let head = next(t, 0).await;
    end(t, &head, DEAD).await;
    assert_eq!(change(t, sent[0], Change::Replay).await, 1);
    assert_eq!(t.state(sent[0]).await, DeliveryState::Blocked);
    let later = send(t, "key", OnDead::Continue, 1).await;
    for id in [sent[1], sent[2], sent[0], later[0]] {
        let head = next(t, 1).await;
        assert_eq!(head.id, id);
        end(t, &head, DELIVERED).await;
    }
    // With nobody before it, it is ready at once.
    assert_eq!(change(t, sent[0], Change::Resend).await, 1);
    assert_eq!(t.state(sent[0]).await, DeliveryState::Ready);
    assert_eq!(change(t, sent[1], Change::Resend).await, 1);
    assert_eq!(t.state(sent[1]).await, DeliveryState::Blocked);
}

/// One more delivery of a kept event stands at the end, too.
pub(crate) async fn a_kept_event_is_delivered_at_the_end(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 2).await;
    let kept = t.event(&[]);
    t.enqueue(std::slice::from_ref(&kept)).await;
    let delivery = NewDelivery {
        order: keyed(t, "a", "key", OnDead::Continue).deliveries[0]
            .order
            .clone(),
        id: DeliveryId::new(t.at(0)),
        endpoint_id: "a".into(),
        incarnation: None,
        by_name: true,
        lease: false,
    };
    let one = EventDelivery {
        event_id: kept.event.id,
        delivery,
    };
    let id = one.delivery.id;
    let made = t.storage.deliver_events(&[one], t.at(0)).await;
    assert_eq!(made.unwrap(), [DeliveredEvent::Stored]);
    assert_eq!(t.state(id).await, DeliveryState::Blocked);
    for id in [sent[0], sent[1], id] {
        let head = next(t, 0).await;
        assert_eq!(head.id, id);
        end(t, &head, DELIVERED).await;
    }
}

/// What leaves in the middle leaves the rest as it stands.
pub(crate) async fn what_leaves_in_the_middle_moves_nobody(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 5).await;
    let head = next(t, 0).await;
    assert_eq!(change(t, sent[1], Change::Cancel).await, 1);
    assert_eq!(change(t, sent[3], Change::Erase).await, 1);
    let record = t.delivery(sent[3]).await;
    assert_eq!(record.cancel_reason, Some(CancelReason::Erased));
    assert!(t.take(1).await.is_empty());
    end(t, &head, DELIVERED).await;
    let head = next(t, 1).await;
    assert_eq!(head.id, sent[2]);
    end(t, &head, DELIVERED).await;
    assert_eq!(next(t, 1).await.id, sent[4]);
}

/// A cancellation of everything leaves an order that can be used again.
pub(crate) async fn a_whole_order_is_cancelled(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 20).await;
    let all = DeliveryQuery::default();
    let changed = t.storage.change(&all, Change::Cancel, 1_000, t.at(1)).await;
    assert_eq!(changed.unwrap().changed, sent.len());
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.cancelled, counts.waiting()), (20, 0));
    let later = send(t, "key", OnDead::Continue, 1).await;
    assert_eq!(next(t, 1).await.id, later[0]);
}

/// A dead worker's head comes back as the head, and its third crash lets the next one go.
pub(crate) async fn a_rescued_head_stays_the_head(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 2).await;
    let other = WorkerId::named("worker_b");
    for crash in 0..3 {
        let at = |second: i64| t.at(crash * 100 + second);
        t.storage.beat(Some(&t.worker), Some(at(0))).await.unwrap();
        let head = next(t, crash * 100).await;
        assert_eq!(head.id, sent[0], "at crash {crash}");
        t.storage.beat(Some(&other), Some(at(20))).await.unwrap();
        let beat = t.storage.beat(Some(&other), Some(at(25))).await.unwrap();
        assert_eq!(beat.rescued, 1);
        t.storage.beat(Some(&t.worker), Some(at(30))).await.unwrap();
    }
    assert_eq!(
        t.delivery(sent[0]).await.dead_reason,
        Some(DeadReason::Poison)
    );
    t.storage
        .beat(Some(&t.worker), Some(t.at(331)))
        .await
        .unwrap();
    assert_eq!(next(t, 331).await.id, sent[1]);
}

/// With its endpoint everything of an order goes, and the one that takes its id begins a new one.
pub(crate) async fn an_endpoint_takes_its_orders_with_it(t: &Bench) {
    let sent = begin(t, OnDead::Hold, 4).await;
    let head = next(t, 0).await;
    end(t, &head, DEAD).await;
    assert_eq!(change(t, sent[0], Change::Purge).await, 1);
    let held = next(t, 1).await;
    t.delete("a", t.at(1)).await;
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.cancelled, counts.leased, counts.blocked), (2, 1, 0));
    t.save(&["a"]).await;
    let new = send(t, "key", OnDead::Hold, 2).await;
    assert_eq!(next(t, 1).await.id, new[0], "it waits for nobody of before");
    end(t, &held, DELIVERED).await;
    assert!(t.take(1).await.is_empty());
}

/// Another tenant's endpoint is another one.
pub(crate) async fn another_incarnation_begins_new_orders(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 3).await;
    let held = next(t, 0).await;
    let mut moved = endpoint("a");
    moved.tenant = Some("org_1".into());
    t.storage.save_endpoint(&moved).await.unwrap();
    let new = send(t, "key", OnDead::Continue, 2).await;
    assert_eq!(next(t, 0).await.id, new[0]);
    end(t, &held, DELIVERED).await;
    assert!(t.take(0).await.is_empty());
    for id in &sent[1..] {
        let record = t.delivery(*id).await;
        assert_eq!(record.cancel_reason, Some(CancelReason::EndpointReplaced));
    }
}

/// They wait, and are counted so; a paused endpoint suspends them all.
pub(crate) async fn blocked_ones_are_counted(t: &Bench) {
    begin(t, OnDead::Continue, 4).await;
    t.gate("a", GateChange::Pause).await;
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.blocked, counts.ready, counts.suspended), (3, 1, 4));
    assert_eq!((counts.waiting(), counts.enqueued), (4, 4));
    assert_eq!(t.counts(None).await, counts);
    let query = DeliveryQuery {
        states: vec![DeliveryState::Blocked],
        ..DeliveryQuery::default()
    };
    assert_eq!(t.list(&query).await.len(), 3);
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.counts(None).await.suspended, 0);
    next(t, 0).await;
}

/// Only the storage knows which one is the head: none of an order is leased with its commit.
pub(crate) async fn none_of_an_order_is_leased_at_once(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = keyed(t, "a", "key", OnDead::Continue);
    new.deliveries[0].lease = true;
    let id = new.deliveries[0].id;
    t.enqueue(&[new]).await;
    assert_eq!(t.state(id).await, DeliveryState::Ready);
}

/// The same call twice puts nobody into an order twice.
pub(crate) async fn a_call_that_is_sent_twice_stands_once(t: &Bench) {
    t.save(&["a"]).await;
    let events: Vec<_> = (0..2)
        .map(|_| keyed(t, "a", "key", OnDead::Continue))
        .collect();
    t.enqueue(&events).await;
    t.enqueue(&events).await;
    let head = next(t, 0).await;
    end(t, &head, DELIVERED).await;
    t.enqueue(&events).await;
    let head = next(t, 0).await;
    assert_eq!(head.id, events[1].deliveries[0].id);
    end(t, &head, DELIVERED).await;
    assert!(t.take(0).await.is_empty());
    let counts = t.counts(None).await;
    assert_eq!((counts.enqueued, counts.delivered), (2, 2));
}

/// A thousand behind one head are nothing to a claim: it neither gives nor is stopped by them.
pub(crate) async fn what_is_blocked_hides_nobody(t: &Bench) {
    let sent = begin(t, OnDead::Continue, 1_000).await;
    t.save(&["b"]).await;
    let other = t.send("b").await;
    let mut taken = ids(&t.take(0).await);
    taken.sort_unstable();
    let mut expected = vec![sent[0], other];
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

/// Who ends several heads in one call lets the next one of each go.
pub(crate) async fn several_heads_end_in_one_call(t: &Bench) {
    t.save(&["a"]).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        for key in 0..20 {
            events.push(keyed(t, "a", &format!("key_{key}"), OnDead::Continue));
        }
    }
    t.enqueue(&events).await;
    for round in 0..3 {
        let taken = t.take(0).await;
        assert_eq!(taken.len(), 20, "in round {round}");
        let settled: Vec<_> = taken
            .iter()
            .map(|one| t.settlement(one, DELIVERED))
            .collect();
        t.settle(&settled).await;
    }
    assert_eq!(t.counts(None).await.delivered, 60);
}

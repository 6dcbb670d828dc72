use webhooks_core::storage::{
    Change, DeliveryQuery, Enqueued, NewEvent, POISON_SUSPECT_CRASHES, SettleAs, Settled,
};
use webhooks_core::{CancelReason, DeliveryId, DeliveryState, WebhookEndpoint, WorkerId};

use crate::bench::{Bench, endpoint, ids};

async fn save_for(t: &Bench, tenant: &str) -> u64 {
    let owned = WebhookEndpoint {
        tenant: Some(tenant.into()),
        ..endpoint("a")
    };
    t.storage.save_endpoint(&owned).await.unwrap();
    t.record("a").await.incarnation
}

async fn cancelled_because(t: &Bench, id: DeliveryId) -> Option<CancelReason> {
    let record = t.delivery(id).await;
    assert_eq!(record.state, DeliveryState::Cancelled, "of {id}");
    record.cancel_reason
}

fn for_incarnation(mut new: NewEvent, incarnation: u64) -> NewEvent {
    for delivery in &mut new.deliveries {
        delivery.incarnation = Some(incarnation);
    }
    new
}

pub(crate) async fn a_delivery_for_an_earlier_incarnation_is_not_made(t: &Bench) {
    let first = save_for(t, "org_1").await;
    let second = save_for(t, "org_2").await;
    let old = for_incarnation(t.event(&["a"]), first);
    let new = for_incarnation(t.event(&["a"]), second);
    let stored = t.enqueue(&[old, new.clone()]).await;
    assert_eq!(stored[0], Enqueued::NoEndpoint);
    assert!(matches!(&stored[1], Enqueued::Stored { missing, .. } if missing.is_empty()));
    let taken = t.take(0).await;
    assert_eq!(ids(&taken), [new.deliveries[0].id]);
    assert_eq!(taken[0].incarnation, second);
    t.storage.delete_endpoint("a", t.at(0)).await.unwrap();
    t.save(&["a"]).await;
    let again = for_incarnation(t.event(&["a"]), second);
    assert_eq!(t.enqueue(&[again]).await, [Enqueued::NoEndpoint]);
}

pub(crate) async fn what_waits_of_an_earlier_tenant_is_cancelled(t: &Bench) {
    save_for(t, "org_1").await;
    let ready = t.send("a").await;
    let mut later = t.event(&["a"]);
    later.due_at = t.at(60);
    t.enqueue(&[later.clone()]).await;
    save_for(t, "org_2").await;
    assert!(t.take(120).await.is_empty());
    for id in [ready, later.deliveries[0].id] {
        let reason = cancelled_because(t, id).await;
        assert_eq!(reason, Some(CancelReason::EndpointReplaced));
    }
    assert_eq!(t.counts(Some("a")).await.cancelled, 2);
    t.lease_one("a").await;
}

pub(crate) async fn what_is_leased_of_an_earlier_incarnation_does_not_wait_again(t: &Bench) {
    save_for(t, "org_1").await;
    t.send_many("a", 3).await;
    let taken = t.take(0).await;
    t.storage.delete_endpoint("a", t.at(0)).await.unwrap();
    save_for(t, "org_2").await;
    let settled = t
        .settle(&[
            t.failed(&taken[0], SettleAs::Retry { at: t.at(9) }),
            t.settlement(&taken[1], SettleAs::Release { at: t.at(0) }),
            t.failed(&taken[2], SettleAs::Delivered),
        ])
        .await;
    let cancelled = Settled::Cancelled;
    assert_eq!(settled, [cancelled, cancelled, Settled::Applied]);
    for delivery in &taken[..2] {
        let reason = cancelled_because(t, delivery.id).await;
        assert_eq!(reason, Some(CancelReason::EndpointReplaced));
    }
    assert!(t.take(100).await.is_empty());
}

pub(crate) async fn what_a_dead_worker_held_of_an_earlier_incarnation_is_cancelled(t: &Bench) {
    save_for(t, "org_1").await;
    let held = t.lease_one("a").await.id;
    save_for(t, "org_2").await;
    let other = WorkerId::named("worker_b");
    for seconds in [8, 16] {
        let at = Some(t.at(seconds));
        t.storage.beat(Some(&other), at).await.unwrap();
    }
    let reason = cancelled_because(t, held).await;
    assert_eq!(reason, Some(CancelReason::EndpointReplaced));
    assert_eq!(t.delivery(held).await.delivery.crashes, 1);
    assert!(t.delivery(held).await.delivery.crashes < POISON_SUSPECT_CRASHES);
}

pub(crate) async fn dead_letters_of_an_earlier_incarnation_are_not_replayed(t: &Bench) {
    save_for(t, "org_1").await;
    let old = t.dead_one("a").await;
    save_for(t, "org_2").await;
    let own = t.dead_one("a").await;
    let all = DeliveryQuery::default();
    let replayed = t.storage.change(&all, Change::Replay, 100, t.at(1)).await;
    assert_eq!(replayed.unwrap().changed, 1);
    assert_eq!(t.state(old).await, DeliveryState::Dead);
    assert_eq!(ids(&t.take(1).await), [own]);
}

pub(crate) async fn many_that_wait_are_cancelled_behind_new_ones(t: &Bench) {
    save_for(t, "org_1").await;
    let old: Vec<_> = (0..1_200).map(|_| t.event(&["a"])).collect();
    t.enqueue(&old).await;
    save_for(t, "org_2").await;
    let own = t.send("a").await;
    save_for(t, "org_2").await;
    assert_eq!(ids(&t.take(0).await), [own]);
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.cancelled, counts.ready), (1_200, 0));
}

pub(crate) async fn a_delivery_remembers_that_it_was_sent_by_name(t: &Bench) {
    t.save(&["a"]).await;
    let mut named = t.event(&["a"]);
    named.deliveries[0].by_name = true;
    t.enqueue(&[named.clone(), t.event(&["a"])]).await;
    for delivery in t.take(0).await {
        let is_named = delivery.id == named.deliveries[0].id;
        assert_eq!(delivery.by_name, is_named);
        t.settle(&[t.failed(&delivery, SettleAs::Retry { at: t.at(1) })])
            .await;
    }
    let again = t.take(2).await;
    let by_name: Vec<_> = again.iter().filter(|d| d.by_name).collect();
    assert_eq!(by_name.len(), 1);
    assert_eq!(by_name[0].id, named.deliveries[0].id);
}

pub(crate) async fn a_settlement_cancels_with_its_reason(t: &Bench) {
    t.save(&["a"]).await;
    let reason = CancelReason::TypeNotTaken;
    let held = t.lease_one("a").await;
    let settlement = t.failed(&held, SettleAs::Cancelled { reason });
    let settled = t.settle(std::slice::from_ref(&settlement)).await;
    assert_eq!(settled, [Settled::Applied]);
    assert_eq!(cancelled_because(t, held.id).await, Some(reason));
    let record = t.delivery(held.id).await;
    assert_eq!((record.delivery.attempts, record.attempts.len()), (1, 1));
    assert_eq!(t.counts(Some("a")).await.cancelled, 1);
    assert_eq!(t.settle(&[settlement]).await.len(), 1);
    assert_eq!(t.delivery(held.id).await.delivery.attempts, 1);
}

pub(crate) async fn each_cancellation_has_its_reason(t: &Bench) {
    t.save(&["a"]).await;
    let change = async |id, to| {
        let query = DeliveryQuery {
            id: Some(id),
            ..DeliveryQuery::default()
        };
        let changed = t.storage.change(&query, to, 1, t.at(0)).await;
        assert_eq!(changed.unwrap().changed, 1);
    };
    let by_hand = t.send("a").await;
    change(by_hand, Change::Cancel).await;
    let erased = t.send("a").await;
    change(erased, Change::Erase).await;
    let held = t.lease_one("a").await;
    change(held.id, Change::Erase).await;
    t.settle(&[t.settlement(&held, SettleAs::Release { at: t.at(0) })])
        .await;
    let deleted = t.send("a").await;
    t.storage.delete_endpoint("a", t.at(0)).await.unwrap();
    for (id, reason) in [
        (by_hand, CancelReason::ByHand),
        (erased, CancelReason::Erased),
        (held.id, CancelReason::Erased),
        (deleted, CancelReason::EndpointDeleted),
    ] {
        assert_eq!(cancelled_because(t, id).await, Some(reason));
    }
}

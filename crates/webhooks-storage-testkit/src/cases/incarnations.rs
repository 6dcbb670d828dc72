//! An id that is registered anew is another endpoint. Nothing that was made for the earlier one may
//! reach the later one, by whatever way it would come: it would be another tenant's event.

use webhooks_core::storage::spi::{Enqueued, NewEvent, POISON_SUSPECT_CRASHES, SettleAs, Settled};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{CancelReason, DeliveryId, DeliveryState, WebhookEndpoint, WorkerId};

use crate::bench::{Bench, endpoint, ids};

/// Saves the endpoint for this tenant; which incarnation that makes.
async fn save_for(t: &Bench, tenant: &str) -> u64 {
    let owned = WebhookEndpoint {
        tenant: Some(tenant.into()),
        ..endpoint("a")
    };
    t.storage.save_endpoint(&owned).await.unwrap();
    t.record("a").await.incarnation
}

/// Why a delivery was cancelled, which it must have been.
async fn cancelled_because(t: &Bench, id: DeliveryId) -> Option<CancelReason> {
    let record = t.delivery(id).await;
    assert_eq!(record.state, DeliveryState::Cancelled, "of {id}");
    record.cancel_reason
}

/// The event as a sender makes it that knows this incarnation.
fn for_incarnation(mut new: NewEvent, incarnation: u64) -> NewEvent {
    for delivery in &mut new.deliveries {
        delivery.incarnation = Some(incarnation);
    }
    new
}

/// The sender's copy is older than the registration. Its delivery is missing, and the event of who
/// knows the new endpoint is stored.
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
    // The same id a third time.
    t.delete("a", t.at(0)).await;
    t.save(&["a"]).await;
    let again = for_incarnation(t.event(&["a"]), second);
    assert_eq!(t.enqueue(&[again]).await, [Enqueued::NoEndpoint]);
}

/// Ready and scheduled ones alike are cancelled as replaced, and new ones come as usual.
pub(crate) async fn what_waits_of_an_earlier_tenant_is_cancelled(t: &Bench) {
    save_for(t, "org_1").await;
    let ready = t.send("a").await;
    let mut later = t.event(&["a"]);
    later.due_at = t.at(60);
    t.enqueue(&[later.clone()]).await;
    save_for(t, "org_2").await;
    // Not even once the scheduled one would be due.
    assert!(t.take(120).await.is_empty());
    for id in [ready, later.deliveries[0].id] {
        let reason = cancelled_because(t, id).await;
        assert_eq!(reason, Some(CancelReason::EndpointReplaced));
    }
    assert_eq!(t.counts(Some("a")).await.cancelled, 2);
    t.lease_one("a").await;
}

/// The request was under way when the endpoint changed hands. It may end; it may not be tried
/// again.
pub(crate) async fn what_is_leased_of_an_earlier_incarnation_does_not_wait_again(t: &Bench) {
    save_for(t, "org_1").await;
    t.send_many("a", 3).await;
    let taken = t.take(0).await;
    t.delete("a", t.at(0)).await;
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
    // Nothing came back to wait.
    assert!(t.take(100).await.is_empty());
}

/// A lease that comes back from a dead worker passes the same question before it waits again. The
/// crash is counted all the same.
pub(crate) async fn what_a_dead_worker_held_of_an_earlier_incarnation_is_cancelled(t: &Bench) {
    save_for(t, "org_1").await;
    let held = t.lease_one("a").await.id;
    // While it is leased, the endpoint changes hands; then its holder falls silent.
    save_for(t, "org_2").await;
    let other = WorkerId::named("worker_b");
    for seconds in [8, 16] {
        let at = Some(t.at(seconds));
        t.storage.beat(Some(&other), at).await.unwrap();
    }
    let reason = cancelled_because(t, held).await;
    assert_eq!(reason, Some(CancelReason::EndpointReplaced));
    assert_eq!(t.delivery(held).await.delivery.crashes, 1);
    // It is the incarnation that has cancelled it, not its crashes.
    assert!(t.delivery(held).await.delivery.crashes < POISON_SUSPECT_CRASHES);
}

/// A replay of everything brings back what belongs to the endpoint of now, and nothing older.
pub(crate) async fn dead_letters_of_an_earlier_incarnation_are_not_replayed(t: &Bench) {
    save_for(t, "org_1").await;
    let old = t.dead_one("a").await;
    save_for(t, "org_2").await;
    let own = t.dead_one("a").await;
    let all = DeliveryQuery::default();
    let replayed = t.storage.change(&all, Change::Replay, 100, t.at(1)).await;
    // Of two dead letters one belongs to the endpoint of now.
    assert_eq!(replayed.unwrap().changed, 1);
    assert_eq!(t.state(old).await, DeliveryState::Dead);
    assert_eq!(ids(&t.take(1).await), [own]);
}

/// More than one step of a storage's cleaning up: what is left of it for later must not be claimed,
/// and must not hide what is new.
pub(crate) async fn many_that_wait_are_cancelled_behind_new_ones(t: &Bench) {
    save_for(t, "org_1").await;
    let old: Vec<_> = (0..1_200).map(|_| t.event(&["a"])).collect();
    t.enqueue(&old).await;
    save_for(t, "org_2").await;
    let own = t.send("a").await;
    // Saved again for the same tenant, which cancels nothing more.
    save_for(t, "org_2").await;
    assert_eq!(ids(&t.take(0).await), [own]);
    let counts = t.counts(Some("a")).await;
    assert_eq!((counts.cancelled, counts.ready), (1_200, 0));
}

/// A filter that no longer takes the type cancels a delivery that it had matched. One that was sent
/// to the endpoint by name was never matched, so the storage has to remember which it was, over
/// retries too.
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

/// The scheduler cancels what its endpoint no longer takes. The attempt that was made counts, and a
/// second settlement changes nothing.
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
    // The second time it is stale, and the attempt does not count.
    assert_eq!(t.settle(&[settlement]).await.len(), 1);
    assert_eq!(t.delivery(held.id).await.delivery.attempts, 1);
}

/// Five ways to end as cancelled; an operator sees which one it was.
pub(crate) async fn each_cancellation_has_its_reason(t: &Bench) {
    t.save(&["a"]).await;
    let change = async |id, to| {
        let query = DeliveryQuery::of_delivery(id);
        let changed = t.storage.change(&query, to, 1, t.at(0)).await;
        assert_eq!(changed.unwrap().changed, 1);
    };
    let by_hand = t.send("a").await;
    change(by_hand, Change::Cancel).await;
    let erased = t.send("a").await;
    change(erased, Change::Erase).await;
    // Erased while it is leased, and then given back.
    let held = t.lease_one("a").await;
    change(held.id, Change::Erase).await;
    t.settle(&[t.settlement(&held, SettleAs::Release { at: t.at(0) })])
        .await;
    let deleted = t.send("a").await;
    t.delete("a", t.at(0)).await;
    for (id, reason) in [
        (by_hand, CancelReason::ByHand),
        (erased, CancelReason::Erased),
        (held.id, CancelReason::Erased),
        (deleted, CancelReason::EndpointDeleted),
    ] {
        assert_eq!(cancelled_because(t, id).await, Some(reason));
    }
}

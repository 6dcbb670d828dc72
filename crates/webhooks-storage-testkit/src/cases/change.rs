//! Changes of many deliveries by an operator: replay, cancel, purge, erase. Which state each
//! applies to, what it does to the counts, and how a long walk stays bounded.

use webhooks_core::storage::spi::{SettleAs, Settled};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{DeliveryId, DeliveryState, Priority};

use crate::bench::{Bench, DEAD, ids, token};

/// Makes a change of everything that the query finds, one second after the start.
async fn change(t: &Bench, query: &DeliveryQuery, to: Change) -> usize {
    let now = t.at(1);
    t.storage
        .change(query, to, 1_000, now)
        .await
        .unwrap()
        .changed
}

async fn change_one(t: &Bench, id: DeliveryId, to: Change) -> usize {
    let query = DeliveryQuery::of_delivery(id);
    change(t, &query, to).await
}

/// One delivery in each state: ready, scheduled, leased, delivered, dead, cancelled.
async fn one_in_each_state(t: &Bench) -> [DeliveryId; 6] {
    t.save(&["a"]).await;
    t.send_many("a", 4).await;
    let taken = t.take(0).await;
    t.settle(&[
        t.failed(&taken[0], SettleAs::Retry { at: t.at(60) }),
        t.failed(&taken[1], SettleAs::Delivered),
        t.failed(&taken[2], DEAD),
    ])
    .await;
    let cancelled = t.send("a").await;
    assert_eq!(change_one(t, cancelled, Change::Cancel).await, 1);
    let ready = t.send("a").await;
    let [scheduled, delivered, dead, leased] = [0, 1, 2, 3].map(|n| taken[n].id);
    [ready, scheduled, leased, delivered, dead, cancelled]
}

/// Attempts and crashes begin at 0, or the first failure would end the replay. The token goes on,
/// or whoever held the delivery before could settle it now.
pub(crate) async fn a_replay_starts_a_new_series(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    let before = t.delivery(id).await.delivery;
    assert_eq!(change_one(t, id, Change::Replay).await, 1);
    let record = t.delivery(id).await;
    assert_eq!(record.state, DeliveryState::Ready);
    assert!(record.dead_reason.is_none());
    assert_eq!(record.delivery.event.id, before.event.id);
    assert_eq!((record.delivery.attempts, record.delivery.crashes), (0, 0));
    assert_eq!(record.attempts.len(), 1, "the log stays");
    assert_eq!(t.counts(None).await.dead, 0);
    let taken = t.take(1).await;
    // Above the token of the lease that ended as dead.
    assert!(ids(&taken) == [id] && token(&taken[0]) > 1);
}

/// By its event's time a replayed delivery would go before everything that was sent since: an
/// hour's dead letters would hold up the events of now.
pub(crate) async fn a_replay_goes_behind_what_waits(t: &Bench) {
    t.save(&["a"]).await;
    let mut old = t.event_at(&["a"], t.at(-60));
    old.priority = Priority::Normal;
    t.enqueue(&[old]).await;
    let taken = t.take(0).await;
    t.settle(&[t.failed(&taken[0], DEAD)]).await;
    let waiting = t.send("a").await;
    assert_eq!(change_one(t, taken[0].id, Change::Replay).await, 1);
    assert_eq!(ids(&t.take(1).await), [waiting, taken[0].id]);
}

/// What was delivered or cancelled is not sent again by a sweeping replay.
pub(crate) async fn only_dead_ones_are_replayed(t: &Bench) {
    let all = one_in_each_state(t).await;
    let changed = change(t, &DeliveryQuery::default(), Change::Replay).await;
    assert_eq!(changed, 1);
    assert_eq!(t.state(all[4]).await, DeliveryState::Ready);
    assert_eq!(t.state(all[3]).await, DeliveryState::Delivered);
    assert_eq!(t.state(all[5]).await, DeliveryState::Cancelled);
}

/// A saved id is another endpoint, perhaps another tenant's. Its predecessor's dead letters stay
/// where they are.
pub(crate) async fn nothing_is_replayed_to_a_deleted_endpoint(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    t.delete("a", t.at(0)).await;
    assert_eq!(change_one(t, id, Change::Replay).await, 0);
    // The id lives again, and the dead letter is still the earlier endpoint's.
    t.save(&["a"]).await;
    assert_eq!(
        change_one(t, id, Change::Replay).await,
        0,
        "it is another endpoint"
    );
    assert_eq!(t.state(id).await, DeliveryState::Dead);
}

/// Without its payload there is nothing to send; a replay would make a delivery with an empty body.
pub(crate) async fn nothing_is_replayed_without_its_payload(t: &Bench) {
    t.save(&["a"]).await;
    let id = t.dead_one("a").await;
    assert_eq!(change_one(t, id, Change::Erase).await, 1);
    assert_eq!(change_one(t, id, Change::Replay).await, 0);
    assert_eq!(t.state(id).await, DeliveryState::Dead);
}

/// What waits can be cancelled; a leased one is its holder's, whose request may be running.
pub(crate) async fn ready_and_scheduled_ones_are_cancelled(t: &Bench) {
    let all = one_in_each_state(t).await;
    let changed = change(t, &DeliveryQuery::default(), Change::Cancel).await;
    assert_eq!(changed, 2);
    assert_eq!(t.state(all[0]).await, DeliveryState::Cancelled);
    assert_eq!(t.state(all[1]).await, DeliveryState::Cancelled);
    assert_eq!(t.state(all[2]).await, DeliveryState::Leased);
    assert_eq!(t.counts(None).await.cancelled, 3);
    // Also the scheduled one, whose time has come by then.
    assert!(t.take(100).await.is_empty());
}

/// Only what has ended is dropped. A purged dead letter is counted as purged, and the other totals
/// stay, so that the sum is still what was enqueued.
pub(crate) async fn ended_ones_are_purged(t: &Bench) {
    let all = one_in_each_state(t).await;
    let before = t.counts(None).await;
    let changed = change(t, &DeliveryQuery::default(), Change::Purge).await;
    assert_eq!(changed, 3);
    assert_eq!(t.list(&DeliveryQuery::default()).await.len(), 3);
    let after = t.counts(None).await;
    assert_eq!((after.dead, after.purged), (0, 1));
    assert_eq!(after.delivered, before.delivered, "a total stays");
    assert_eq!(after.cancelled, before.cancelled);
    assert_eq!(after.waiting(), 3);
    assert_eq!(t.state(all[0]).await, DeliveryState::Ready);
    // A second purge finds nothing.
    assert_eq!(change(t, &DeliveryQuery::default(), Change::Purge).await, 0);
}

/// Erasure leaves no copy of the payload in any state. What waits is cancelled with it; a leased
/// one keeps its state, as its request is out already.
pub(crate) async fn payloads_are_erased_everywhere(t: &Bench) {
    let [ready, scheduled, leased, delivered, dead, cancelled] = one_in_each_state(t).await;
    let changed = change(t, &DeliveryQuery::default(), Change::Erase).await;
    assert_eq!(changed, 6);
    for (id, state) in [
        (ready, DeliveryState::Cancelled),
        (scheduled, DeliveryState::Cancelled),
        (leased, DeliveryState::Leased),
        (delivered, DeliveryState::Delivered),
        (dead, DeliveryState::Dead),
        (cancelled, DeliveryState::Cancelled),
    ] {
        let record = t.delivery(id).await;
        assert_eq!(record.state, state);
        assert!(record.delivery.event.payload.is_empty());
    }
    // What is erased already does not count as changed.
    assert_eq!(change(t, &DeliveryQuery::default(), Change::Erase).await, 0);
}

/// A lease that was taken before the erasure ends as cancelled when it would wait again. One that
/// was delivered says so: that is what happened.
pub(crate) async fn what_was_erased_does_not_wait_again(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 3).await;
    let taken = t.take(0).await;
    // While all three are leased.
    assert_eq!(change(t, &DeliveryQuery::default(), Change::Erase).await, 3);
    let settled = t
        .settle(&[
            t.failed(&taken[0], SettleAs::Retry { at: t.at(9) }),
            t.settlement(&taken[1], SettleAs::Release { at: t.at(0) }),
            t.failed(&taken[2], SettleAs::Delivered),
        ])
        .await;
    let cancelled = Settled::Cancelled;
    assert_eq!(settled, [cancelled, cancelled, Settled::Applied]);
}

/// Endpoints may share one stored copy of the payload. It goes for all of this event's deliveries,
/// and for none of another event.
pub(crate) async fn one_event_is_erased_for_all_its_endpoints(t: &Bench) {
    t.save(&["a", "b"]).await;
    let (gone, kept) = (t.event(&["a", "b"]), t.event(&["a"]));
    t.enqueue(&[gone.clone(), kept.clone()]).await;
    let query = DeliveryQuery::of_event(gone.event.id);
    assert_eq!(change(t, &query, Change::Erase).await, 2);
    let taken = t.take(0).await;
    assert_eq!(ids(&taken), [kept.deliveries[0].id]);
    assert_eq!(taken[0].event.payload, kept.event.payload);
}

/// A call changes no more than it is asked to, so that an operator can go in steps that others do
/// not notice.
pub(crate) async fn a_change_stops_at_its_limit(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 10).await;
    let all = DeliveryQuery::default();
    for expected in [4, 4, 2, 0] {
        let changed = t.storage.change(&all, Change::Cancel, 4, t.at(1)).await;
        assert_eq!(changed.unwrap().changed, expected);
    }
}

/// `limit` of a query is the size of a page, which a change does not have.
pub(crate) async fn the_page_size_of_a_query_does_not_bound_a_change(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 10).await;
    let query = DeliveryQuery {
        limit: 1,
        ..DeliveryQuery::default()
    };
    assert_eq!(change(t, &query, Change::Cancel).await, 10);
}

/// A filter that is passed over would cancel everybody's deliveries.
pub(crate) async fn a_change_keeps_to_its_filter(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 3).await;
    t.send_many("b", 3).await;
    let query = DeliveryQuery::of_endpoint("a");
    assert_eq!(change(t, &query, Change::Cancel).await, 3);
    assert_eq!(t.counts(Some("a")).await.cancelled, 3);
    assert_eq!(t.counts(Some("b")).await.ready, 3);
}

/// Neither cancelled nor purged: the outcome that comes later has to find its delivery.
pub(crate) async fn a_cancelled_lease_is_not_possible(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    assert_eq!(change_one(t, held.id, Change::Cancel).await, 0);
    assert_eq!(change_one(t, held.id, Change::Purge).await, 0);
    // The holder's outcome still counts.
    let settled = t.settle(&[t.failed(&held, SettleAs::Delivered)]).await;
    assert_eq!(settled, [Settled::Applied]);
}

/// A replay goes on in steps while deliveries die again and new ones come. Each of those that were
/// there at first is replayed once, and the walk ends.
pub(crate) async fn a_walk_changes_what_was_there_once(t: &Bench) {
    t.save(&["a"]).await;
    let all = t.send_many("a", 25).await;
    let die = async |now| {
        let taken = t.claim(t.claim_at(now)).await.deliveries;
        let settlements: Vec<_> = taken.iter().map(|d| t.failed(d, DEAD)).collect();
        t.settle_at(&settlements, now).await;
    };
    // All die at the start, so that `updated_before` can tell them from what dies later.
    die(t.at(0)).await;
    let mut query = DeliveryQuery {
        updated_before: Some(t.at(1)),
        ..DeliveryQuery::default()
    };
    let (mut replayed, mut steps) = (0, 0);
    loop {
        let step = t.storage.change(&query, Change::Replay, 10, t.at(1)).await;
        let step = step.unwrap();
        // Steps may look at less than they may change; what counts is the sum.
        replayed += step.changed;
        steps += 1;
        // Each dies again at once, and so does one that was not there before.
        t.send("a").await;
        die(t.at(1)).await;
        query.before = step.next;
        if step.next.is_none() {
            break;
        }
        assert!(steps < 100, "a walk that never ends");
    }
    assert_eq!(replayed, all.len());
    for id in all {
        // One attempt of the first series and one after the replay: a second replay would show as a
        // third.
        assert_eq!(t.delivery(id).await.attempts.len(), 2, "of {id}");
    }
}

/// The order is what lets a caller go on at `next` and miss nothing.
pub(crate) async fn a_change_goes_from_the_newest_to_the_oldest(t: &Bench) {
    t.save(&["a"]).await;
    let all = t.send_many("a", 6).await;
    let query = DeliveryQuery::default();
    let first = t.storage.change(&query, Change::Cancel, 2, t.at(1)).await;
    let next = first.unwrap().next;
    // A storage may stop further up than it need, but never behind what it has not looked at.
    assert!(
        next.is_some_and(|next| next > all[3]),
        "nothing is passed over"
    );
    for (place, id) in all.iter().enumerate() {
        let is_cancelled = t.state(*id).await == DeliveryState::Cancelled;
        assert_eq!(is_cancelled, place >= 4, "number {place}");
    }
}

/// `updated_before` is exclusive. It is what keeps a walk from changing what it has already
/// changed.
pub(crate) async fn a_change_before_a_time_leaves_what_changed_since(t: &Bench) {
    t.save(&["a"]).await;
    let early = t.dead_one("a").await;
    let late = t.lease_one("a").await;
    // Dies at five seconds, which `updated_before` excludes.
    t.settle_at(&[t.failed(&late, DEAD)], t.at(5)).await;
    let query = DeliveryQuery {
        updated_before: Some(t.at(5)),
        ..DeliveryQuery::default()
    };
    let listed: Vec<_> = t.list(&query).await.iter().map(|r| r.delivery.id).collect();
    assert_eq!(listed, [early]);
    assert_eq!(change(t, &query, Change::Replay).await, 1);
    assert_eq!(t.state(late.id).await, DeliveryState::Dead);
}

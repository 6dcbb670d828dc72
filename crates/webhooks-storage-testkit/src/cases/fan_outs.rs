//! Events for more endpoints than one call stores. Parts are stored one by one; whoever stops in
//! the middle, all endpoints get the event, each once.

use std::collections::HashSet;
use std::sync::Arc;

use webhooks_core::storage::spi::{
    Enqueued, FanOut, FanOutPart, NewDelivery, NewEvent, PartPlace, SettleAs,
};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{DeliveryId, DeliveryState, EventFilter, OnDead, Priority};

use crate::bench::{Bench, event, ids};
use crate::cases::orders::keyed;

const STORED: Option<Enqueued> = Some(Enqueued::Stored {
    missing: Vec::new(),
    dead: Vec::new(),
});

/// The part of an event that goes to these endpoints.
fn part(of: &NewEvent, place: PartPlace, endpoints: &[&str], up_to: Option<&str>) -> FanOutPart {
    let deliveries = endpoints.iter().map(|id| NewDelivery {
        id: DeliveryId::of(of.event.id, id),
        endpoint_id: (*id).into(),
        incarnation: None,
        by_name: false,
        order: None,
        lease: false,
    });
    FanOutPart {
        event: NewEvent {
            deliveries: deliveries.collect(),
            ..of.clone()
        },
        place,
        up_to: up_to.map(Into::into),
    }
}

/// The ids that deliveries to these endpoints have, whoever makes them.
fn made(of: &NewEvent, endpoints: &[&str]) -> HashSet<DeliveryId> {
    let ids = endpoints.iter().map(|id| DeliveryId::of(of.event.id, id));
    ids.collect()
}

async fn store(t: &Bench, part: &FanOutPart) -> Option<Enqueued> {
    t.storage.fan_out(part, t.at(0)).await.unwrap()
}

/// Fan-outs that are not done.
async fn open(t: &Bench) -> Vec<FanOut> {
    t.storage.fan_outs(t.at(1_000), 10).await.unwrap()
}

/// Begins a fan-out of this event that is not done.
async fn begin(t: &Bench, of: &NewEvent) {
    t.save(&["a", "b", "c"]).await;
    let first = part(of, PartPlace::First, &["a"], Some("a"));
    assert_eq!(store(t, &first).await, STORED);
    assert_eq!(open(t).await.len(), 1);
}

async fn change(t: &Bench, query: &DeliveryQuery, to: Change) -> usize {
    let changed = t.storage.change(query, to, 10, t.at(1)).await;
    changed.unwrap().changed
}

/// All deliveries of an event, as an operator would ask for them.
fn of_event(of: &NewEvent) -> DeliveryQuery {
    DeliveryQuery::of_event(of.event.id)
}

/// Three parts, of which one names an endpoint that is gone: together they are one event, and with
/// the last part the fan-out is forgotten.
pub(crate) async fn parts_make_one_event(t: &Bench) {
    let of = t.event(&[]);
    begin(t, &of).await;
    // A part may end with an endpoint that is gone.
    let later = part(&of, PartPlace::Later, &["b", "nobody"], Some("nobody"));
    let missing = vec![DeliveryId::of(of.event.id, "nobody")];
    let dead = Vec::new();
    let stored = Some(Enqueued::Stored { missing, dead });
    assert_eq!(store(t, &later).await, stored);
    assert_eq!(&*open(t).await[0].up_to, "nobody");
    let last = part(&of, PartPlace::Later, &["c"], None);
    assert_eq!(store(t, &last).await, STORED);
    assert!(open(t).await.is_empty());
    let taken = t.take(0).await;
    let ids: HashSet<_> = taken.iter().map(|d| d.id).collect();
    assert_eq!(ids, made(&of, &["a", "b", "c"]));
    // Every delivery has the same event, though each part brought it anew.
    assert!(taken.iter().all(|d| *d.event == *of.event));
    assert_eq!(t.list(&of_event(&of)).await.len(), 3);
    assert_eq!(t.counts(None).await.enqueued, 3);
}

/// Two nodes may be at one fan-out, and each call may be sent twice. Whatever overlaps is stored
/// once, and the key names each delivery once.
pub(crate) async fn parts_that_are_made_again_store_nothing_twice(t: &Bench) {
    let of = t.keyed("k", None, &[]);
    begin(t, &of).await;
    let first = part(&of, PartPlace::First, &["a"], Some("a"));
    assert_eq!(store(t, &first).await, STORED);
    // Overlaps with the first part, and is sent twice.
    let later = part(&of, PartPlace::Later, &["a", "b"], Some("b"));
    for _ in 0..2 {
        assert_eq!(store(t, &later).await, STORED);
    }
    assert_eq!(t.counts(None).await.enqueued, 2);
    assert_eq!(t.take(0).await.len(), 2);
    let last = part(&of, PartPlace::Later, &["b", "c"], None);
    assert_eq!(store(t, &last).await, STORED);
    // After the last part there is nothing to go on with.
    assert_eq!(store(t, &last).await, None, "it is done");
    assert_eq!(t.counts(None).await.enqueued, 3);
    let again = t.enqueue(&[t.keyed("k", None, &["a"])]).await;
    let Enqueued::Duplicate { delivery_ids, .. } = &again[0] else {
        panic!("{again:?} is not a duplicate");
    };
    assert_eq!(delivery_ids.len(), 3, "each is named once");
}

/// The answer to a repeated send is of the whole event, not of its first part.
pub(crate) async fn a_key_names_what_all_parts_made(t: &Bench) {
    let of = t.keyed("k", Some("org_1"), &[]);
    begin(t, &of).await;
    // A part that names one that is gone: the key does not answer with it.
    let later = part(&of, PartPlace::Later, &["b", "nobody", "c"], None);
    store(t, &later).await;
    let again = t.keyed("k", Some("org_1"), &["a"]);
    let again = t.enqueue(&[again]).await;
    let Enqueued::Duplicate {
        event_id,
        delivery_ids,
    } = &again[0]
    else {
        panic!("{again:?} is not a duplicate");
    };
    assert_eq!(*event_id, of.event.id);
    let ids: HashSet<_> = delivery_ids.iter().copied().collect();
    assert_eq!(ids, made(&of, &["a", "b", "c"]));
}

/// A first part with a key of another event is answered like any duplicate, and leaves nothing that
/// a node would go on with.
pub(crate) async fn a_key_that_was_used_begins_nothing(t: &Bench) {
    t.save(&["a"]).await;
    let first = t.keyed("k", None, &["a"]);
    t.enqueue(std::slice::from_ref(&first)).await;
    let of = t.keyed("k", None, &[]);
    let again = part(&of, PartPlace::First, &["a"], Some("a"));
    let duplicate = Enqueued::Duplicate {
        event_id: first.event.id,
        delivery_ids: vec![first.deliveries[0].id],
    };
    assert_eq!(store(t, &again).await, Some(duplicate));
    assert!(open(t).await.is_empty());
    assert_eq!(t.counts(None).await.enqueued, 1);
}

/// The node that goes on has only what the storage kept: the event to the byte, its options, and
/// its key. A delivery of a later part is no different from one of the first.
pub(crate) async fn everything_that_is_needed_to_go_on_is_kept(t: &Bench) {
    let mut of = t.keyed("k \u{e9}", Some("org 1"), &[]);
    of.event = Arc::new(event(
        "order.paid",
        Some("org 1"),
        b"{\"n\": 1e400 }",
        t.at(-7),
    ));
    (of.priority, of.max_retries, of.due_at) = (Priority::Low, 7, t.at(60));
    begin(t, &of).await;
    let found = open(t).await.remove(0);
    assert_eq!(&*found.up_to, "a");
    let found = found.event;
    assert_eq!(*found.event, *of.event);
    assert_eq!((found.priority, found.max_retries), (Priority::Low, 7));
    assert_eq!(found.due_at, of.due_at);
    assert_eq!(found.idempotency_key, of.idempotency_key);
    assert!(found.deliveries.is_empty());
    // As a node would that found it.
    store(t, &part(&found, PartPlace::Later, &["b"], None)).await;
    let b = t.delivery(DeliveryId::of(of.event.id, "b")).await;
    assert_eq!(b.state, DeliveryState::Scheduled);
    assert_eq!(b.delivery.due_at, of.due_at);
}

/// Its own sender makes parts as long as it lives. Others may take over only what has stood still
/// for a while, or all nodes would make all parts.
pub(crate) async fn what_is_still_under_way_is_left_alone(t: &Bench) {
    let of = t.event(&[]);
    begin(t, &of).await;
    let idle = async |since| t.storage.fan_outs(t.at(since), 10).await.unwrap().len();
    assert_eq!(idle(-1).await, 0, "a part was stored since");
    assert_eq!(idle(0).await, 1);
    let later = part(&of, PartPlace::Later, &["b"], Some("b"));
    t.storage.fan_out(&later, t.at(5)).await.unwrap();
    assert_eq!(idle(4).await, 0);
    assert_eq!(idle(5).await, 1);
    assert!(t.storage.fan_outs(t.at(5), 0).await.unwrap().is_empty());
}

/// A slow node may store an earlier part after a faster one has gone on. Set back, the fan-out
/// would be made again, over and over.
pub(crate) async fn a_fan_out_never_goes_back(t: &Bench) {
    let of = t.event(&[]);
    begin(t, &of).await;
    let ahead = part(&of, PartPlace::Later, &["b", "c"], Some("c"));
    // The slower node comes behind.
    let behind = part(&of, PartPlace::Later, &["b"], Some("b"));
    for some in [ahead, behind] {
        assert_eq!(store(t, &some).await, STORED);
    }
    assert_eq!(&*open(t).await[0].up_to, "c");
    assert_eq!(t.counts(None).await.enqueued, 3);
}

/// It was done, or an operator ended it: neither deliveries nor a key may come of it any more.
pub(crate) async fn a_part_without_its_fan_out_stores_nothing(t: &Bench) {
    t.save(&["a"]).await;
    let of = t.keyed("k", None, &[]);
    let later = part(&of, PartPlace::Later, &["a"], Some("a"));
    assert_eq!(store(t, &later).await, None);
    assert!(open(t).await.is_empty());
    assert_eq!(t.counts(None).await.enqueued, 0);
    // Had the key been kept, this would be a duplicate of an event that was never stored.
    let first = t.enqueue(&[t.keyed("k", None, &["a"])]).await;
    assert_eq!(first[0], STORED.unwrap(), "nor is its key kept");
}

/// What was erased must not come back with a part that was on its way.
pub(crate) async fn erasing_an_event_ends_its_fan_out(t: &Bench) {
    let of = t.event(&[]);
    begin(t, &of).await;
    assert_eq!(change(t, &of_event(&of), Change::Erase).await, 1);
    assert!(open(t).await.is_empty());
    // The part was on its way when the event was erased.
    let later = part(&of, PartPlace::Later, &["b"], Some("b"));
    assert_eq!(store(t, &later).await, None);
    assert_eq!(t.counts(None).await.enqueued, 1);
}

/// Only a change of all deliveries of the event ends its fan-out. One filter more, and what was not
/// made yet was not meant.
pub(crate) async fn a_change_of_others_leaves_a_fan_out(t: &Bench) {
    let mut of = t.event(&[]);
    of.event = Arc::new(event("order.paid", Some("org_1"), b"{}", t.at(0)));
    begin(t, &of).await;
    // One by one, each of which leaves out this event or a part of its deliveries.
    let query = DeliveryQuery::default;
    let others = [
        DeliveryQuery {
            tenant: Some("org_2".into()),
            ..query()
        },
        DeliveryQuery {
            event_type: Some(EventFilter::new("order.sent").unwrap()),
            ..query()
        },
        DeliveryQuery {
            event_id: Some(t.event(&[]).event.id),
            ..query()
        },
        DeliveryQuery {
            from: Some(t.at(1)),
            ..query()
        },
        DeliveryQuery {
            to: Some(t.at(0)),
            ..query()
        },
        DeliveryQuery {
            updated_before: Some(t.at(0)),
            ..query()
        },
        DeliveryQuery {
            endpoint_ids: Some(vec!["b".into()]),
            ..query()
        },
        DeliveryQuery {
            states: vec![DeliveryState::Dead],
            ..query()
        },
    ];
    for other in others {
        change(t, &other, Change::Erase).await;
        assert_eq!(open(t).await.len(), 1, "{other:?}");
    }
    // A purge neither: it is for what has ended.
    change(t, &of_event(&of), Change::Purge).await;
    assert_eq!(open(t).await.len(), 1);
    // All that this tenant has: that is the whole event.
    let of_tenant = DeliveryQuery {
        tenant: Some("org_1".into()),
        ..query()
    };
    change(t, &of_tenant, Change::Cancel).await;
    assert!(open(t).await.is_empty());
}

/// Nodes look for fan-outs only when a beat says so, so the beat must say so, and no longer than
/// there is one.
pub(crate) async fn a_beat_tells_of_a_fan_out(t: &Bench) {
    let tells = async || t.storage.beat(None, None).await.unwrap().outbox;
    let of = t.event(&[]);
    assert!(!tells().await);
    begin(t, &of).await;
    assert!(tells().await);
    store(t, &part(&of, PartPlace::Later, &["b"], None)).await;
    assert!(!tells().await);
}

/// Parts stand in the orders of their endpoints, behind what was there, and no part stands twice.
pub(crate) async fn parts_stand_in_their_orders(t: &Bench) {
    t.save(&["a", "b"]).await;
    let before = keyed(t, "b", "key", OnDead::Continue);
    t.enqueue(std::slice::from_ref(&before)).await;
    let of = t.event(&[]);
    let ordered = |place, endpoint, up_to| {
        let mut part = part(&of, place, &[endpoint], up_to);
        part.event.deliveries[0]
            .order
            .clone_from(&before.deliveries[0].order);
        part
    };
    let first = ordered(PartPlace::First, "a", Some("a"));
    assert_eq!(store(t, &first).await, STORED);
    store(t, &ordered(PartPlace::Later, "b", None)).await;
    store(t, &ordered(PartPlace::Later, "b", None)).await;
    let of_b = DeliveryId::of(of.event.id, "b");
    assert_eq!(t.state(of_b).await, DeliveryState::Blocked);
    let taken = t.take(0).await;
    assert_eq!(taken.len(), 2);
    let settled = taken
        .iter()
        .map(|one| t.settlement(one, SettleAs::Delivered));
    t.settle(&settled.collect::<Vec<_>>()).await;
    assert_eq!(ids(&t.take(0).await), [of_b]);
}

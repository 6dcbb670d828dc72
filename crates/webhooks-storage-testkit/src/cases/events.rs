//! Events are kept once, for all of their deliveries and without any.

use std::sync::Arc;

use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery, NewDelivery, NewEvent, SettleAs};
use webhooks_core::storage::{Change, DeliveryQuery, EventQuery, EventRecord, Retention};
use webhooks_core::{DeliveryId, EventFilter, EventId, Priority, TraceContext, WebhookError};

use crate::bench::{Bench, DEAD, event};

const DAY: i64 = 86_400;

async fn list(t: &Bench, query: &EventQuery) -> Vec<EventRecord> {
    t.storage.events(query).await.unwrap().items
}

async fn listed(t: &Bench, query: &EventQuery) -> Vec<EventId> {
    let records = list(t, query).await;
    records.iter().map(|record| record.event.id).collect()
}

async fn one(t: &Bench, id: EventId) -> EventRecord {
    let query = EventQuery {
        ids: Some(vec![id]),
        with_payload: true,
        ..EventQuery::default()
    };
    let mut records = list(t, &query).await;
    assert_eq!(records.len(), 1, "one event has the id {id}");
    records.remove(0)
}

/// An event of this type and tenant, sent so many seconds after the start.
fn typed(t: &Bench, event_type: &str, tenant: Option<&str>, second: i64) -> NewEvent {
    let mut new = t.event_at(&[], t.at(second));
    new.event = Arc::new(event(event_type, tenant, b"{}", t.at(second)));
    new
}

/// Every field comes back, to the byte: what is delivered later is what was sent.
pub(crate) async fn an_event_is_read_back_whole(t: &Bench) {
    let mut new = t.event(&[]);
    let mut sent = event(
        "order.paid",
        Some("org_1"),
        br#"{"n":1.00, "k":"\u00e9"}"#,
        t.at(0),
    );
    sent.ordering_key = Some("k\u{e9}y 1".into());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    sent.trace = Some(TraceContext::new(parent, Some("a=b,c=d")).unwrap());
    new.event = Arc::new(sent);
    (new.priority, new.max_retries) = (Priority::High, 7);
    new.due_at = t.at(60);
    t.enqueue(std::slice::from_ref(&new)).await;
    let record = one(t, new.event.id).await;
    assert_eq!(*record.event, *new.event);
    assert_eq!((record.priority, record.max_retries), (Priority::High, 7));
    assert_eq!(record.due_at, t.at(60));
    assert_eq!(record.payload_bytes, new.event.payload.len());
    assert!(!record.payload_erased);
    assert_eq!(record.deliveries.total(), 0);
}

/// A listing of a hundred events must not read a hundred payloads.
pub(crate) async fn a_payload_comes_when_it_is_asked_for(t: &Bench) {
    let new = t.event(&[]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let record = list(t, &EventQuery::default()).await.remove(0);
    assert!(record.event.payload.is_empty());
    assert_eq!(record.payload_bytes, new.event.payload.len());
    assert!(!record.payload_erased);
}

/// Whether it is kept says its sender; one with a delivery is kept in any case.
pub(crate) async fn an_event_without_deliveries_is_kept_if_it_says_so(t: &Bench) {
    t.save(&["a"]).await;
    let kept = t.event(&[]);
    let nobodys = t.event(&["nobody"]);
    let mut forgotten = t.event(&[]);
    forgotten.keep = false;
    let mut delivered = t.event(&["a"]);
    delivered.keep = false;
    let mut missing = t.event(&["nobody"]);
    missing.keep = false;
    let all = [
        kept.clone(),
        nobodys.clone(),
        forgotten,
        delivered.clone(),
        missing,
    ];
    t.enqueue(&all).await;
    let mut listed = listed(t, &EventQuery::default()).await;
    listed.sort_unstable();
    let mut expected = [kept, nobodys, delivered].map(|new| new.event.id);
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

/// An event says what became of its deliveries, whichever they are.
pub(crate) async fn an_event_counts_its_deliveries_by_state(t: &Bench) {
    t.save(&["a", "b", "c", "d", "e", "f"]).await;
    let new = t.event(&["a", "b", "c", "d", "e"]);
    let other = t.event(&["f"]);
    t.enqueue(&[new.clone(), other]).await;
    let taken = t.take(0).await;
    let of = |id: &str| taken.iter().find(|d| &*d.endpoint_id == id).unwrap();
    t.settle(&[
        t.failed(of("a"), SettleAs::Delivered),
        t.failed(of("b"), DEAD),
        t.failed(of("c"), SettleAs::Retry { at: t.at(60) }),
        t.settlement(of("d"), SettleAs::Release { at: t.at(0) }),
    ])
    .await;
    let counts = one(t, new.event.id).await.deliveries;
    assert_eq!((counts.delivered, counts.dead), (1, 1));
    assert_eq!((counts.scheduled, counts.ready, counts.leased), (1, 1, 1));
    assert_eq!(counts.total(), 5);
    let query = DeliveryQuery::of_event(new.event.id);
    t.storage
        .change(&query, Change::Cancel, 10, t.at(0))
        .await
        .unwrap();
    let counts = one(t, new.event.id).await.deliveries;
    assert_eq!((counts.cancelled, counts.total()), (2, 5));
    t.storage
        .change(&query, Change::Purge, 10, t.at(0))
        .await
        .unwrap();
    let counts = one(t, new.event.id).await.deliveries;
    assert_eq!(
        (counts.leased, counts.total()),
        (1, 1),
        "what is purged is gone"
    );
}

/// A filter that is passed over shows one tenant's events to another.
pub(crate) async fn events_are_found_by_each_filter(t: &Bench) {
    let paid = typed(t, "order.paid", Some("org_1"), -10);
    let lines = typed(t, "order.line.added", Some("org_2"), -5);
    let user = typed(t, "user.created", None, 0);
    let [of_paid, of_lines, of_user] = [&paid, &lines, &user].map(|new| new.event.id);
    t.enqueue(&[paid, lines, user]).await;
    let finds = async |change: &dyn Fn(&mut EventQuery), expected: &[EventId]| {
        let mut query = EventQuery::default();
        change(&mut query);
        assert_eq!(listed(t, &query).await, expected, "{query:?}");
    };
    let filter = |pattern: &str| Some(EventFilter::new(pattern).unwrap());
    finds(&|_| {}, &[of_user, of_lines, of_paid]).await;
    finds(&|q| q.event_type = filter("order.paid"), &[of_paid]).await;
    finds(&|q| q.event_type = filter("order.*"), &[of_lines, of_paid]).await;
    finds(&|q| q.event_type = filter("order.line.*"), &[of_lines]).await;
    finds(&|q| q.event_type = filter("ord.*"), &[]).await;
    finds(
        &|q| q.event_type = filter("*"),
        &[of_user, of_lines, of_paid],
    )
    .await;
    finds(&|q| q.tenant = Some("org_2".into()), &[of_lines]).await;
    finds(&|q| q.tenant = Some("org_3".into()), &[]).await;
    finds(&|q| q.from = Some(t.at(-5)), &[of_user, of_lines]).await;
    finds(&|q| q.to = Some(t.at(-5)), &[of_paid]).await;
    finds(
        &|q| q.ids = Some(vec![of_paid, of_user]),
        &[of_user, of_paid],
    )
    .await;
    finds(&|q| q.ids = Some(Vec::new()), &[]).await;
    let all = |q: &mut EventQuery| {
        (q.event_type, q.tenant) = (filter("order.*"), Some("org_1".into()));
        (q.from, q.to) = (Some(t.at(-11)), Some(t.at(0)));
        q.ids = Some(vec![of_paid, of_lines, of_user]);
    };
    finds(&all, &[of_paid]).await;
}

/// Newest first by pages, or oldest first: each event once, also what came between two pages.
pub(crate) async fn events_are_listed_in_pages_from_either_end(t: &Bench) {
    let events: Vec<_> = (0..25).map(|n| typed(t, "a.b", None, n - 30)).collect();
    t.enqueue(&events).await;
    let oldest: Vec<_> = events.iter().map(|new| new.event.id).collect();
    let newest: Vec<_> = oldest.iter().rev().copied().collect();
    for (first, expected) in [(None, &newest), (Some(EventId::MIN), &oldest)] {
        let mut query = EventQuery {
            limit: 10,
            after: first,
            ..EventQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = t.storage.events(&query).await.unwrap();
            assert!(page.items.len() <= 10 && seen.len() <= 30);
            seen.extend(page.items.iter().map(|record| record.event.id));
            match (page.next, first) {
                (None, _) => break,
                (next, None) => query.before = next,
                (next, Some(_)) => query.after = next,
            }
        }
        assert_eq!(&seen, expected);
    }
}

/// A mistyped page must not be an endless one.
pub(crate) async fn bad_bounds_of_a_listing_are_refused(t: &Bench) {
    let limited = |limit| EventQuery {
        limit,
        ..EventQuery::default()
    };
    let no_tenant = EventQuery {
        tenant: Some("".into()),
        ..EventQuery::default()
    };
    let many = EventQuery {
        ids: Some(vec![EventId::new(t.at(0)); 1_001]),
        ..EventQuery::default()
    };
    for (field, query) in [
        ("limit", limited(0)),
        ("limit", limited(1_001)),
        ("tenant", no_tenant),
        ("ids", many),
    ] {
        let refused = t.storage.events(&query).await;
        assert!(
            matches!(&refused, Err(WebhookError::InvalidQuery(text)) if text.to_string().starts_with(field)),
            "{query:?}: {refused:?}"
        );
    }
}

/// What operators list must not go while a delivery of it may still be sent.
pub(crate) async fn an_event_outlives_its_last_delivery(t: &Bench) {
    t.save(&["a"]).await;
    let new = t.event(&["a"]);
    t.enqueue(&[new.clone(), t.event(&[])]).await;
    let taken = t.take(0).await;
    let retention = Retention::default();
    sweep(t, &retention, 6).await;
    assert_eq!(listed(t, &EventQuery::default()).await.len(), 2);
    sweep(t, &retention, 8).await;
    assert_eq!(listed(t, &EventQuery::default()).await, [new.event.id]);
    // Settled late: its delivery stays for a week more, and it with that.
    let settled = t.settlement(&taken[0], SettleAs::Delivered);
    t.settle_at(&[settled], t.at(8 * DAY)).await;
    sweep(t, &retention, 14).await;
    assert_eq!(one(t, new.event.id).await.deliveries.delivered, 1);
    sweep(t, &retention, 16).await;
    assert!(listed(t, &EventQuery::default()).await.is_empty());
}

/// The same call sent twice, and events whose deliveries come in two calls, are one event.
pub(crate) async fn the_same_event_is_kept_once(t: &Bench) {
    t.save(&["a", "b"]).await;
    let new = t.event(&["a", "b"]);
    let [first, second] = [0, 1].map(|n| NewEvent {
        deliveries: vec![new.deliveries[n].clone()],
        ..new.clone()
    });
    t.enqueue(std::slice::from_ref(&first)).await;
    t.enqueue(&[second, first]).await;
    assert_eq!(listed(t, &EventQuery::default()).await, [new.event.id]);
    assert_eq!(one(t, new.event.id).await.deliveries.ready, 2);
}

/// An erasure of one tenant takes what nobody was sent, too; that of one endpoint's deliveries takes
/// nothing from the others.
pub(crate) async fn whole_events_are_erased_with_and_without_deliveries(t: &Bench) {
    t.save(&["a", "b"]).await;
    let mut sent = t.event(&["a", "b"]);
    sent.event = Arc::new(event("a.b", Some("org_1"), br#"{"n":1}"#, t.at(0)));
    let unmatched = typed(t, "a.b", Some("org_1"), 0);
    let others = typed(t, "a.b", Some("org_2"), 0);
    t.enqueue(&[sent.clone(), unmatched.clone(), others.clone()])
        .await;
    let erase = async |query: DeliveryQuery| {
        let erased = t.storage.change(&query, Change::Erase, 100, t.at(1)).await;
        erased.unwrap().changed
    };
    assert_eq!(erase(DeliveryQuery::of_endpoint("a")).await, 1);
    assert_eq!(
        one(t, sent.event.id).await.event.payload,
        sent.event.payload
    );
    let rest = t.take(1).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(
        rest[0].event.payload, sent.event.payload,
        "that of b goes on"
    );
    let of_tenant = DeliveryQuery {
        tenant: Some("org_1".into()),
        ..DeliveryQuery::default()
    };
    assert_eq!(erase(of_tenant).await, 1);
    for new in [&sent, &unmatched] {
        let record = one(t, new.event.id).await;
        assert!(record.payload_erased && record.event.payload.is_empty());
        assert_eq!(record.payload_bytes, 0);
    }
    assert!(!one(t, others.event.id).await.payload_erased);
}

/// What was erased for the last endpoint that had it is nowhere any more, and nobody else gets it.
pub(crate) async fn the_last_erasure_takes_the_event_with_it(t: &Bench) {
    t.save(&["a", "b", "c"]).await;
    let new = t.event(&["a", "b"]);
    t.enqueue(std::slice::from_ref(&new)).await;
    for (endpoint, is_last) in [("a", false), ("b", true)] {
        let query = DeliveryQuery::of_endpoint(endpoint);
        let erased = t.storage.change(&query, Change::Erase, 10, t.at(1)).await;
        assert_eq!(erased.unwrap().changed, 1);
        assert_eq!(one(t, new.event.id).await.payload_erased, is_last);
    }
    let delivery = NewDelivery {
        id: DeliveryId::new(t.at(1)),
        ..t.event(&["c"]).deliveries.remove(0)
    };
    let event_id = new.event.id;
    let late = EventDelivery { event_id, delivery };
    let made = t.storage.deliver_events(&[late], t.at(1)).await;
    assert_eq!(made.unwrap(), [DeliveredEvent::Erased]);
}

async fn sweep(t: &Bench, retention: &Retention, day: i64) {
    for _ in 0..100 {
        let swept = t.storage.sweep(retention, 1_000, t.at(day * DAY)).await;
        if !swept.unwrap().more {
            return;
        }
    }
    panic!("a sweep never ends");
}

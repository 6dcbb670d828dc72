//! Listings: filters, order, and pages that stand while deliveries come, go and change their state.

use std::collections::HashSet;
use std::sync::Arc;

use webhooks_core::storage::spi::SettleAs;
use webhooks_core::storage::{Change, DeliveryQuery, DeliveryRecord};
use webhooks_core::{DeliveryId, DeliveryState, EventFilter, EventId};

use crate::bench::{Bench, DEAD, event};

fn listed(records: &[DeliveryRecord]) -> Vec<DeliveryId> {
    records.iter().map(|r| r.delivery.id).collect()
}

/// Ids begin with their time, and that is the order.
pub(crate) async fn the_newest_is_listed_first(t: &Bench) {
    t.save(&["a"]).await;
    let mut sent = t.send_many("a", 20).await;
    sent.reverse();
    assert_eq!(listed(&t.list(&DeliveryQuery::default()).await), sent);
}

/// Each filter by itself, at its edges: `from` takes its own time in, `to` does not, an event type
/// is exact and no prefix. Then all of them, which have to match together.
pub(crate) async fn each_filter_alone_and_all_together(t: &Bench) {
    t.save(&["a", "b"]).await;
    let mut new = t.event(&["a", "b"]);
    // Sent ten seconds before the start, which the filters by time tell from the other.
    new.event = Arc::new(event("order.paid", Some("org_1"), b"{}", t.at(-10)));
    let other = t.event(&["b"]);
    t.enqueue(&[new.clone(), other.clone()]).await;
    let (of_a, of_b) = (new.deliveries[0].id, new.deliveries[1].id);
    let rest = other.deliveries[0].id;
    let event_id = new.event.id;
    let finds = async |change: &dyn Fn(&mut DeliveryQuery), expected: &[DeliveryId]| {
        let mut query = DeliveryQuery::default();
        change(&mut query);
        let found: HashSet<_> = listed(&t.list(&query).await).into_iter().collect();
        assert_eq!(found, expected.iter().copied().collect(), "{query:?}");
    };
    finds(&|q| q.ids = Some(vec![of_b]), &[of_b]).await;
    finds(&|q| q.event_id = Some(event_id), &[of_a, of_b]).await;
    finds(&|q| q.endpoint_ids = Some(vec!["b".into()]), &[of_b, rest]).await;
    finds(&|q| q.endpoint_ids = Some(vec!["nobody".into()]), &[]).await;
    finds(&|q| q.event_type = filter("order.paid"), &[of_a, of_b]).await;
    finds(&|q| q.event_type = filter("order"), &[]).await;
    finds(&|q| q.tenant = Some("org_1".into()), &[of_a, of_b]).await;
    finds(&|q| q.tenant = Some("org_2".into()), &[]).await;
    finds(&|q| q.from = Some(t.at(-10)), &[of_a, of_b, rest]).await;
    finds(&|q| q.from = Some(t.at(-9)), &[rest]).await;
    finds(&|q| q.to = Some(t.at(-10)), &[]).await;
    finds(&|q| q.to = Some(t.at(-9)), &[of_a, of_b]).await;
    // Each of them true of one delivery alone.
    let all = |q: &mut DeliveryQuery| {
        (q.ids, q.event_id) = (Some(vec![of_a]), Some(event_id));
        (q.endpoint_ids, q.tenant) = (Some(vec!["a".into()]), Some("org_1".into()));
        q.event_type = filter("order.paid");
        q.states = vec![DeliveryState::Ready];
        (q.from, q.to) = (Some(t.at(-11)), Some(t.at(0)));
    };
    finds(&all, &[of_a]).await;
}

/// Whatever structure a state is kept in, a listing of that state finds it, and one without a state
/// finds all.
pub(crate) async fn each_state_is_listed(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 4).await;
    let taken = t.take(0).await;
    t.settle(&[
        t.failed(&taken[0], SettleAs::Delivered),
        t.failed(&taken[1], DEAD),
        t.failed(&taken[2], SettleAs::Retry { at: t.at(60) }),
    ])
    .await;
    let cancelled = t.send("a").await;
    let query = DeliveryQuery::of_delivery(cancelled);
    // Of what waits then, only the one just sent is cancelled: the query names it.
    let cancel = t.storage.change(&query, Change::Cancel, 10, t.at(0)).await;
    assert_eq!(cancel.unwrap().changed, 1);
    let ready = t.send("a").await;
    let expected = [
        (DeliveryState::Delivered, taken[0].id),
        (DeliveryState::Dead, taken[1].id),
        (DeliveryState::Scheduled, taken[2].id),
        (DeliveryState::Leased, taken[3].id),
        (DeliveryState::Cancelled, cancelled),
        (DeliveryState::Ready, ready),
    ];
    for (state, id) in expected {
        let query = DeliveryQuery {
            states: vec![state],
            ..DeliveryQuery::default()
        };
        assert_eq!(listed(&t.list(&query).await), [id], "{state:?}");
    }
    let waiting = DeliveryQuery {
        states: DeliveryState::WAITING.to_vec(),
        ..DeliveryQuery::default()
    };
    assert_eq!(t.list(&waiting).await.len(), 3);
    assert_eq!(t.list(&DeliveryQuery::default()).await.len(), 6);
}

/// A page that is just full, one that is not, and one larger than all there is.
pub(crate) async fn pages_follow_each_other(t: &Bench) {
    t.save(&["a"]).await;
    let mut sent = t.send_many("a", 25).await;
    sent.reverse();
    for limit in [10, 25, 100] {
        assert_eq!(pages(t, limited(limit), async || ()).await, sent);
    }
}

/// Ready, leased and delivered ones may live in different places of a storage. A page has to merge
/// them in one order.
pub(crate) async fn pages_hold_what_is_in_all_states(t: &Bench) {
    t.save(&["a"]).await;
    let mut sent = t.send_many("a", 750).await;
    // More than one page of every storage, and enough for three states.
    sent.reverse();
    let taken = t.take(0).await;
    let outcomes = taken
        .iter()
        .enumerate()
        .filter_map(|(n, delivery)| match n % 3 {
            0 => Some(t.settlement(delivery, SettleAs::Delivered)),
            1 => Some(t.settlement(delivery, SettleAs::Release { at: t.at(0) })),
            _ => None,
        });
    t.settle(&outcomes.collect::<Vec<_>>()).await;
    for limit in [100, 400] {
        assert_eq!(pages(t, limited(limit), async || ()).await, sent);
    }
    let leased = DeliveryQuery {
        states: vec![DeliveryState::Leased],
        ..limited(100)
    };
    assert_eq!(pages(t, leased, async || ()).await.len(), 250);
}

/// One event for 450 endpoints: ids of the same millisecond have an order too, by which pages go
/// on.
pub(crate) async fn pages_hold_all_of_an_event(t: &Bench) {
    let ids: Vec<_> = (0..450).map(|n| format!("endpoint_{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    t.save(&ids).await;
    let event = t.event(&ids);
    // Between two other events, of which nothing may come.
    t.enqueue(&[t.event(&ids[..1]), event.clone(), t.event(&ids[..1])])
        .await;
    let mut sent: Vec<_> = event.deliveries.iter().map(|d| d.id).collect();
    sent.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    let of_event = DeliveryQuery {
        event_id: Some(event.event.id),
        ..limited(100)
    };
    assert_eq!(pages(t, of_event, async || ()).await, sent);
}

/// Nothing that comes after the first page was read turns up on later ones, and nothing is missed,
/// though deliveries change their state between two pages.
pub(crate) async fn pages_stand_while_things_change(t: &Bench) {
    t.save(&["a"]).await;
    let mut sent = t.send_many("a", 25).await;
    sent.reverse();
    // Each page is followed by a new delivery and by claims, which move rows from place to place.
    let seen = pages(t, limited(7), async || {
        let later = t.event_at(&["a"], t.at(1));
        t.enqueue(&[later]).await;
        t.take(1).await;
    })
    .await;
    assert_eq!(seen, sent, "what came later is not on later pages");
}

fn filter(pattern: &str) -> Option<EventFilter> {
    Some(EventFilter::new(pattern).unwrap())
}

fn limited(limit: usize) -> DeliveryQuery {
    DeliveryQuery {
        limit,
        ..DeliveryQuery::default()
    }
}

/// All pages of a query, with something done between two of them.
async fn pages(t: &Bench, mut query: DeliveryQuery, between: impl AsyncFn()) -> Vec<DeliveryId> {
    let mut seen = Vec::new();
    loop {
        let page = t.storage.deliveries(&query).await.unwrap();
        assert!(page.items.len() <= query.limit && seen.len() < 1_000);
        seen.extend(listed(&page.items));
        if page.next.is_none() {
            return seen;
        }
        query.before = page.next;
        between().await;
    }
}

/// An empty page without a `next`, and no error.
pub(crate) async fn nothing_is_listed_for_unknown_ids(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    let by_id = DeliveryQuery::of_delivery(DeliveryId::new(t.at(0)));
    let by_event = DeliveryQuery::of_event(EventId::new(t.at(0)));
    for query in [by_id, by_event] {
        let page = t.storage.deliveries(&query).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_none());
    }
}

/// Attempts cost a look at the log, so they come only for who asks, and only those of the delivery.
pub(crate) async fn attempts_are_read_when_asked_for(t: &Bench) {
    t.save(&["a", "b"]).await;
    let id = t.dead_one("a").await;
    t.dead_one("b").await;
    let query = DeliveryQuery::of_endpoint("a");
    assert!(t.list(&query).await[0].attempts.is_empty());
    let query = DeliveryQuery {
        with_attempts: true,
        ..query
    };
    let attempts = &t.list(&query).await[0].attempts;
    assert!(attempts.len() == 1 && attempts[0].delivery_id == id);
}

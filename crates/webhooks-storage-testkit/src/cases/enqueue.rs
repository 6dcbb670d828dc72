//! Storing events: one commit, one answer each, to the byte, and once however often a call is sent.

use std::collections::HashSet;
use std::sync::Arc;

use webhooks_core::storage::spi::{Enqueued, SettleAs, Settled};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{DeliveryState, EventType, Priority, Timestamp, TraceContext, WorkerId};

use crate::bench::{Bench, endpoint, event, ids, token};

/// The answer when every delivery was made and can be sent.
const STORED: Enqueued = Enqueued::Stored {
    missing: Vec::new(),
    dead: Vec::new(),
};

/// To those that the sender has matched, and to no other.
pub(crate) async fn an_event_makes_a_delivery_for_each_endpoint(t: &Bench) {
    t.save(&["a", "b", "c"]).await;
    let new = t.event(&["a", "b"]);
    assert_eq!(t.enqueue(std::slice::from_ref(&new)).await, [STORED]);
    let taken = t.take(0).await;
    let expected: HashSet<_> = new.deliveries.iter().map(|d| d.id).collect();
    assert_eq!(ids(&taken).into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(t.counts(None).await.enqueued, 2);
    assert_eq!(t.counts(Some("c")).await.enqueued, 0);
}

/// Senders share a call and tell their answers apart by place alone.
pub(crate) async fn each_event_gets_its_answer_in_order(t: &Bench) {
    t.save(&["a"]).await;
    // The same key twice in one call: the second is a duplicate of the first.
    let first = t.keyed("k", None, &["a"]);
    let again = t.keyed("k", None, &["a"]);
    let answers = t
        .enqueue(&[t.event(&["a"]), first.clone(), t.event(&["nobody"]), again])
        .await;
    let duplicate = Enqueued::Duplicate {
        event_id: first.event.id,
        delivery_ids: vec![first.deliveries[0].id],
    };
    assert_eq!(answers, [STORED, STORED, Enqueued::NoEndpoint, duplicate]);
    assert_eq!(t.counts(None).await.enqueued, 2);
}

/// A sender matches by definitions that may be a second old, so an endpoint may be gone. Its
/// delivery is named, and everything else of the call is stored.
pub(crate) async fn a_missing_endpoint_does_not_fail_the_others(t: &Bench) {
    t.save(&["a", "b"]).await;
    let new = t.event(&["a", "nobody", "b"]);
    // In the middle, so that what follows is still looked at.
    let missing = vec![new.deliveries[1].id];
    let dead = Vec::new();
    assert_eq!(
        t.enqueue(&[new, t.event(&["a"])]).await,
        [Enqueued::Stored { missing, dead }, STORED]
    );
    assert_eq!(t.take(0).await.len(), 3);
}

/// No deliveries, and no error: nobody wanted the event.
pub(crate) async fn an_event_without_deliveries_has_no_endpoint(t: &Bench) {
    assert_eq!(t.enqueue(&[t.event(&[])]).await, [Enqueued::NoEndpoint]);
    assert_eq!(t.counts(None).await.enqueued, 0);
}

/// As for an unknown one. Stored all the same, the delivery would wait for nobody.
pub(crate) async fn a_deleted_endpoint_takes_nothing(t: &Bench) {
    t.save(&["a"]).await;
    t.delete("a", t.at(0)).await;
    assert_eq!(t.enqueue(&[t.event(&["a"])]).await, [Enqueued::NoEndpoint]);
    assert_eq!(t.counts(None).await.enqueued, 0);
}

/// Whether an endpoint takes events is the sender's to know, by its copy; the storage's gates bind
/// claims alone.
pub(crate) async fn a_disabled_endpoint_takes_what_it_is_given(t: &Bench) {
    let mut off = endpoint("a");
    off.enabled = false;
    t.storage.save_endpoint(&off).await.unwrap();
    assert_eq!(t.enqueue(&[t.event(&["a"])]).await, [STORED]);
    assert!(t.take(0).await.is_empty());
}

/// An empty call is answered as one, whatever a database says to an empty statement.
pub(crate) async fn no_events_are_no_work(t: &Bench) {
    assert!(t.enqueue(&[]).await.is_empty());
}

/// The caller gets the first event's id and what was made for it, and cannot tell whether it was
/// the first to send: that is what the key is for.
pub(crate) async fn a_key_gives_the_first_answer_back(t: &Bench) {
    t.save(&["a", "b"]).await;
    let first = t.keyed("k", None, &["a", "nobody", "b"]);
    t.enqueue(std::slice::from_ref(&first)).await;
    let again = t.enqueue(&[t.keyed("k", None, &["a"])]).await;
    let Enqueued::Duplicate {
        event_id,
        delivery_ids,
    } = &again[0]
    else {
        panic!("{again:?} is not a duplicate");
    };
    let expected = HashSet::from([first.deliveries[0].id, first.deliveries[2].id]);
    assert_eq!(*event_id, first.event.id);
    assert_eq!(
        delivery_ids.iter().copied().collect::<HashSet<_>>(),
        expected
    );
    assert_eq!(t.counts(None).await.enqueued, 2);
}

/// An endpoint that came later must not get an event that was answered with "nobody" before.
pub(crate) async fn a_key_is_kept_when_nothing_matched(t: &Bench) {
    let first = t.keyed("k", None, &[]);
    assert_eq!(
        t.enqueue(std::slice::from_ref(&first)).await,
        [Enqueued::NoEndpoint]
    );
    // Now there would be somebody.
    t.save(&["a"]).await;
    let duplicate = Enqueued::Duplicate {
        event_id: first.event.id,
        delivery_ids: Vec::new(),
    };
    assert_eq!(t.enqueue(&[t.keyed("k", None, &["a"])]).await, [duplicate]);
    assert_eq!(t.counts(None).await.enqueued, 0);
}

/// A tenant that guesses another's keys must be able neither to silence its events nor to read
/// their ids. Keys are compared byte by byte.
pub(crate) async fn each_tenant_has_its_own_keys(t: &Bench) {
    t.save(&["a"]).await;
    let answers = t
        .enqueue(&[
            t.keyed("k", None, &["a"]),
            t.keyed("k", Some("org_1"), &["a"]),
            t.keyed("k", Some("org_2"), &["a"]),
            // Another letter case is another key.
            t.keyed("K", None, &["a"]),
        ])
        .await;
    assert!(answers.iter().all(|a| *a == STORED), "{answers:?}");
    // The tenant's own key is kept as well.
    let again = t.enqueue(&[t.keyed("k", Some("org_1"), &["a"])]).await;
    assert!(matches!(again[0], Enqueued::Duplicate { .. }));
}

/// 24 hours from the first use, which repeats do not lengthen; then the key is new.
pub(crate) async fn a_key_is_forgotten_after_a_day(t: &Bench) {
    const DAY: i64 = 24 * 3_600;
    t.save(&["a"]).await;
    t.enqueue(&[t.keyed("k", None, &["a"])]).await;
    let send = async |at: Timestamp| t.enqueue_at(&[t.keyed("k", None, &["a"])], at).await;
    let before = send(t.at(DAY - 1)).await;
    assert!(matches!(before[0], Enqueued::Duplicate { .. }));
    assert_eq!(send(t.at(DAY + 1)).await, [STORED]);
    // The window of the new use has begun.
    let anew = send(t.at(DAY + 2)).await;
    assert!(matches!(anew[0], Enqueued::Duplicate { .. }));
    assert_eq!(t.counts(None).await.enqueued, 2);
}

/// A sender whose answer was lost sends the same call again. The same ids store nothing twice, and
/// the answer is as at first, whatever became of the deliveries meanwhile.
pub(crate) async fn the_same_call_twice_stores_once(t: &Bench) {
    t.save(&["a", "b"]).await;
    let events = [t.event(&["a", "b"]), t.keyed("k", None, &["a"])];
    let first = t.enqueue(&events).await;
    assert_eq!(t.enqueue(&events).await, first, "a resent call is answered");
    assert_eq!(t.counts(None).await.enqueued, 3);
    assert_eq!(t.take(0).await.len(), 3);
    assert_eq!(t.enqueue(&events).await, first, "also once it is leased");
    assert_eq!(t.counts(None).await.leased, 3);
}

/// Scheduled until its time, with that time as what `next_due` tells, and claimable at it and not
/// later.
pub(crate) async fn a_delayed_event_waits_for_its_time(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&["a"]);
    new.due_at = t.at(5);
    t.enqueue(std::slice::from_ref(&new)).await;
    assert_eq!(
        t.state(new.deliveries[0].id).await,
        DeliveryState::Scheduled
    );
    let early = t.claim(t.claim_at(t.at(4))).await;
    assert!(early.deliveries.is_empty());
    assert!(early.next_due.is_some_and(|due| due <= t.at(5)));
    assert_eq!(ids(&t.take(5).await), [new.deliveries[0].id]);
}

/// Who has room asks for the lease with the event, and needs no claim: token 1, not claimable by
/// anybody, and settled like any other lease.
pub(crate) async fn a_leased_delivery_is_the_workers_at_once(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&["a", "a"]);
    new.deliveries[0].lease = true;
    t.enqueue(std::slice::from_ref(&new)).await;
    let record = t.delivery(new.deliveries[0].id).await;
    assert_eq!(record.state, DeliveryState::Leased);
    let lease = record.delivery.lease.as_ref().unwrap();
    assert_eq!((&lease.worker, lease.token), (&t.worker, 1));
    assert_eq!(ids(&t.take(0).await), [new.deliveries[1].id]);
    let settled = t
        .settle(&[t.failed(&record.delivery, SettleAs::Delivered)])
        .await;
    assert_eq!(settled, [Settled::Applied]);
}

/// The next lease of it must not have the same token, though it was never claimed before.
pub(crate) async fn a_released_lease_of_an_enqueue_gets_a_new_token(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&["a"]);
    new.deliveries[0].lease = true;
    t.enqueue(std::slice::from_ref(&new)).await;
    let leased = t.delivery(new.deliveries[0].id).await.delivery;
    t.settle(&[t.settlement(&leased, SettleAs::Release { at: t.at(0) })])
        .await;
    assert!(token(&t.take(0).await[0]) > 1);
}

/// There is nobody to lease it to, so it waits like the others. Leased to nobody, it would never
/// come back.
pub(crate) async fn a_lease_without_a_worker_is_ready(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&["a"]);
    new.deliveries[0].lease = true;
    // It asks for a lease, and there is no worker to have it.
    t.storage.enqueue(&[new], None, t.at(0)).await.unwrap();
    assert_eq!(t.take(0).await.len(), 1);
}

/// What was sent is what is claimed and listed, at the ends of what each field may hold.
pub(crate) async fn everything_of_an_event_is_kept(t: &Bench) {
    t.save(&["a"]).await;
    let mut new = t.event(&["a"]);
    new.event = Arc::new(event(
        "order.line-item.v2_x",
        Some("org_1"),
        b"{}",
        t.at(-7),
    ));
    new.priority = Priority::Critical;
    new.max_retries = 0;
    // In the past, as of an event that was held up on its way.
    new.due_at = t.at(-3);
    t.enqueue(std::slice::from_ref(&new)).await;
    let claimed = t.take(0).await.remove(0);
    let listed = t.delivery(claimed.id).await.delivery;
    // As it is claimed, and as it is listed.
    for delivery in [claimed, listed] {
        assert_eq!(*delivery.event, *new.event);
        assert_eq!(&*delivery.endpoint_id, "a");
        assert_eq!(delivery.priority, Priority::Critical);
        assert_eq!((delivery.max_retries, delivery.due_at), (0, t.at(-3)));
        assert_eq!((delivery.attempts, delivery.crashes), (0, 0));
    }
}

/// The trace that an event was sent in goes on with each of its requests, and its ordering key is
/// there for an endpoint that comes later.
pub(crate) async fn a_trace_and_an_ordering_key_are_kept(t: &Bench) {
    t.save(&["a"]).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traces = [None, Some("vendor=a:b,other=1")];
    let keys = [None, Some(""), Some("user_1 \u{fc}'")];
    let mut sent = Vec::new();
    for (state, key) in traces
        .iter()
        .flat_map(|s| keys.iter().map(move |k| (*s, *k)))
    {
        let mut new = t.event(&["a"]);
        let mut event = event("a.b", None, b"{}", t.at(0));
        event.ordering_key = key.map(Into::into);
        event.trace = Some(TraceContext::new(parent, state).unwrap());
        new.event = Arc::new(event);
        sent.push(new);
    }
    t.enqueue(&sent).await;
    for delivery in t.take(0).await {
        let mut sent = sent.iter();
        let new = sent.find(|new| new.event.id == delivery.event.id).unwrap();
        assert_eq!(*delivery.event, *new.event);
        let listed = t.delivery(delivery.id).await.delivery;
        assert_eq!(*listed.event, *new.event);
        assert_eq!((delivery.order, listed.order), (None, None));
    }
}

/// The signature is over the bytes. JSON that was read and written again would reorder keys, round
/// numbers or change escapes, and no signature would fit.
pub(crate) async fn payloads_are_kept_to_the_byte(t: &Bench) {
    t.save(&["a"]).await;
    let payloads: [&[u8]; 7] = [
        br#"{"b":1,"a":2}"#,
        br#"{"a":1,"a":2}"#,
        br#"{"n":1e400,"m":-0.0,"k":1.10,"l":123456789012345678901234567890}"#,
        "{\"text\":\"\u{fc}\u{1f600}\u{2028}\u{0}\"}"
            .trim_matches('\u{0}')
            .as_bytes(),
        br#"{"escaped":"\ud83d\ude00\n\u001f\/"}"#,
        b" {\t\"spaces\" : [ 1 , 2 ]\r\n} ",
        br#"{"quotes":"'\"\\$1%s?:name"}"#,
    ];
    for payload in payloads {
        let payload: Vec<u8> = payload.iter().copied().filter(|b| *b != 0).collect();
        let mut new = t.event(&["a"]);
        new.event = Arc::new(event("user.created", None, &payload, t.at(0)));
        t.enqueue(&[new]).await;
        let taken = t.take(0).await;
        assert_eq!(taken[0].event.payload, payload);
        // A listing may take another way to the payload.
        let listed = t.delivery(taken[0].id).await;
        assert_eq!(listed.delivery.event.payload, payload);
    }
}

/// The largest body that is sent by default.
pub(crate) async fn a_payload_of_256_kib_is_kept(t: &Bench) {
    t.save(&["a"]).await;
    // To the byte, with its quotes.
    let payload = format!("\"{}\"", "x".repeat((256 << 10) - 2)).into_bytes();
    let mut new = t.event(&["a"]);
    new.event = Arc::new(event("user.created", None, &payload, t.at(0)));
    t.enqueue(&[new]).await;
    assert!(t.take(0).await[0].event.payload == payload);
}

/// 2,000 deliveries are one call: the limits of a statement's parameters are the storage's to get
/// round.
pub(crate) async fn a_thousand_events_are_one_call(t: &Bench) {
    t.save(&["a", "b"]).await;
    let events: Vec<_> = (0..1_000).map(|_| t.event(&["a", "b"])).collect();
    let answers = t.enqueue(&events).await;
    assert!(answers.len() == 1_000 && answers.iter().all(|a| *a == STORED));
    assert_eq!(t.counts(None).await.ready, 2_000);
}

/// The longest id, type, tenant and key that the checks let through, in bytes and in characters.
pub(crate) async fn long_names_are_kept(t: &Bench) {
    let id = "e".repeat(256);
    t.save(&[&id]).await;
    let mut new = t.keyed(&"k".repeat(255), None, &[&id]);
    // As long as a type may be, in characters.
    let longest = EventType::new(&"t".repeat(256)).unwrap();
    let mut event = (*new.event).clone();
    (event.event_type, event.tenant) = (longest, Some("o".repeat(256).into()));
    new.event = Arc::new(event);
    assert_eq!(t.enqueue(std::slice::from_ref(&new)).await, [STORED]);
    assert_eq!(*t.take(0).await[0].event, *new.event);
}

/// Line breaks, quotes and what looks like an escape or a null, in a field that a storage may put
/// into one text with others.
pub(crate) async fn a_tenant_may_be_any_text(t: &Bench) {
    t.save(&["a"]).await;
    for tenant in ["a\nb", "\n", "", "\"", "\\n \u{e9}\u{1f980}", "null"] {
        let mut new = t.event(&["a"]);
        new.event = Arc::new(event("user.created", Some(tenant), b"\n{}\n", t.at(0)));
        t.enqueue(std::slice::from_ref(&new)).await;
        assert_eq!(*t.take(0).await[0].event, *new.event);
        let mut query = DeliveryQuery {
            tenant: Some(tenant.into()),
            ..DeliveryQuery::default()
        };
        // Nobody sends for such a tenant or asks for it; what is given is kept all the same.
        if query.validate().is_err() {
            query.tenant = None;
            query.event_id = Some(new.event.id);
        }
        let found = t.list(&query).await;
        assert_eq!(found.len(), 1, "{tenant:?}");
        assert_eq!(*found[0].delivery.event, *new.event);
    }
}

/// One of two deliveries was purged. The call that comes again makes it anew, and an index by event
/// must not have it twice.
pub(crate) async fn what_is_made_again_is_listed_once(t: &Bench) {
    t.save(&["a", "b"]).await;
    let new = t.event(&["a", "b"]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let taken = t.take(0).await;
    let of_a = taken.iter().find(|d| &*d.endpoint_id == "a").unwrap();
    t.settle(&[t.failed(of_a, SettleAs::Delivered)]).await;
    let query = DeliveryQuery::of_event(new.event.id);
    let purged = t.storage.change(&query, Change::Purge, 10, t.at(0)).await;
    assert_eq!(purged.unwrap().changed, 1);
    // The call again: what is there stays, what is gone is made.
    t.enqueue(std::slice::from_ref(&new)).await;
    let listed: Vec<_> = t.list(&query).await.iter().map(|r| r.delivery.id).collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
}

/// An erased event has nothing to send: a call that comes again makes no delivery of it that is
/// missing, with or without bytes.
pub(crate) async fn nothing_more_is_made_of_an_erased_event(t: &Bench) {
    t.save(&["a"]).await;
    // `b` is not there yet, so its delivery is missing.
    let new = t.event(&["a", "b"]);
    t.enqueue(std::slice::from_ref(&new)).await;
    let query = DeliveryQuery::of_event(new.event.id);
    let erased = t.storage.change(&query, Change::Erase, 10, t.at(0)).await;
    assert_eq!(erased.unwrap().changed, 1);
    t.save(&["b"]).await;
    let again = t.enqueue(std::slice::from_ref(&new)).await;
    let missing = vec![new.deliveries[1].id];
    let dead = Vec::new();
    assert_eq!(again, [Enqueued::Stored { missing, dead }]);
    assert!(t.take(0).await.is_empty());
    let of_a = t.delivery(new.deliveries[0].id).await;
    assert!(of_a.delivery.event.payload.is_empty());
}

/// Names of workers are given by users, and must not break a key that is put together from them.
pub(crate) async fn a_worker_may_have_any_name(t: &Bench) {
    t.save(&["a"]).await;
    let worker = WorkerId::named("a\nb c:\u{e9}");
    let mut new = t.event(&["a"]);
    new.deliveries[0].lease = true;
    let id = new.deliveries[0].id;
    let stored = t.storage.enqueue(&[new], Some(&worker), t.at(0)).await;
    assert_eq!(stored.unwrap().answers, [STORED]);
    let record = t.delivery(id).await;
    let lease = record.delivery.lease.clone().unwrap();
    assert_eq!(lease.worker, worker);
    let settlement = t.settlement(&record.delivery, SettleAs::Delivered);
    let settled = t.storage.settle(&worker, &[settlement], t.at(1)).await;
    assert_eq!(settled.unwrap(), [Settled::Applied]);
}

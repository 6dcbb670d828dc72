//! What deliveries are asked for by, besides the plain filters.

use std::sync::Arc;

use webhooks_core::storage::spi::SettleAs;
use webhooks_core::storage::{Change, DeliveryQuery, GroupBy, StatusFilter};
use webhooks_core::{
    DeadReason, DeliveryId, DeliveryState, EventFilter, FailureKind, WebhookError,
};

use crate::bench::{Bench, event};

async fn found(t: &Bench, query: &DeliveryQuery) -> Vec<DeliveryId> {
    let items = t.list(query).await;
    let mut ids: Vec<_> = items.iter().map(|record| record.delivery.id).collect();
    ids.sort_unstable();
    ids
}

/// Whether a query finds just these.
async fn finds(t: &Bench, change: impl Fn(&mut DeliveryQuery), expected: &[DeliveryId]) {
    let mut query = DeliveryQuery::default();
    change(&mut query);
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found(t, &query).await, expected, "{query:?}");
}

/// What keeps a tenant from seeing what is not its own: several endpoints, one, and none.
pub(crate) async fn several_endpoints_are_one_query_and_none_find_nothing(t: &Bench) {
    t.save(&["a", "b", "c"]).await;
    let a = t.send("a").await;
    let b = t.send("b").await;
    let c = t.send("c").await;
    let of = |ids: &[&str]| Some(ids.iter().map(|id| Arc::from(*id)).collect());
    finds(t, |q| q.endpoint_ids = of(&["a", "b"]), &[a, b]).await;
    finds(t, |q| q.endpoint_ids = of(&["b", "nobody", "b"]), &[b]).await;
    finds(t, |q| q.endpoint_ids = of(&[]), &[]).await;
    finds(t, |q| q.endpoint_ids = None, &[a, b, c]).await;
    // A change reads it the same way.
    let none = DeliveryQuery {
        endpoint_ids: of(&[]),
        ..DeliveryQuery::default()
    };
    let changed = t.storage.change(&none, Change::Cancel, 10, t.at(0)).await;
    assert_eq!(changed.unwrap().changed, 0);
}

/// Ids that are not there are passed over; each is found once, and in pages.
pub(crate) async fn several_ids_are_one_query(t: &Bench) {
    t.save(&["a"]).await;
    let sent = t.send_many("a", 5).await;
    let unknown = DeliveryId::new(t.at(0));
    let some = vec![sent[3], unknown, sent[0], sent[3]];
    finds(t, |q| q.ids = Some(some.clone()), &[sent[0], sent[3]]).await;
    finds(t, |q| q.ids = Some(Vec::new()), &[]).await;
    let first = |q: &mut DeliveryQuery| (q.ids, q.limit) = (Some(some.clone()), 1);
    finds(t, first, &[sent[3]]).await;
    let second = |q: &mut DeliveryQuery| (q.ids, q.before) = (Some(some.clone()), Some(sent[3]));
    finds(t, second, &[sent[0]]).await;
}

/// A pattern means here what it means of an endpoint.
pub(crate) async fn types_are_found_by_pattern(t: &Bench) {
    t.save(&["a"]).await;
    let mut ids = Vec::new();
    for kind in [
        "user",
        "user.created",
        "user.a.b",
        "users.created",
        "user_x.created",
    ] {
        let mut new = t.event(&["a"]);
        new.event = Arc::new(event(kind, None, b"{}", t.at(0)));
        ids.push(new.deliveries[0].id);
        t.enqueue(&[new]).await;
    }
    let of = |pattern: &str| Some(EventFilter::new(pattern).unwrap());
    finds(t, |q| q.event_type = of("user.*"), &ids[1..3]).await;
    finds(t, |q| q.event_type = of("user"), &ids[..1]).await;
    finds(t, |q| q.event_type = of("user_x.*"), &ids[4..]).await;
    finds(t, |q| q.event_type = of("*"), &ids).await;
}

/// Four deliveries after one attempt each: dead after a 503, to be tried again after a timeout,
/// delivered, and dead for good after a 413.
async fn tried(t: &Bench) -> Vec<DeliveryId> {
    t.save(&["a"]).await;
    let sent = t.send_many("a", 4).await;
    let taken = t.take(0).await;
    let attempt = |n: usize, status, failure, settle_as| {
        let mut settlement = t.failed(&taken[n], settle_as);
        let attempt = settlement.attempt.as_mut().unwrap();
        (attempt.status, attempt.failure) = (status, failure);
        settlement
    };
    let (exhausted, permanent) = (DeadReason::AttemptsExhausted, DeadReason::PermanentFailure);
    let dead = |reason| SettleAs::Dead { reason };
    let server = Some(FailureKind::ServerError);
    let large = Some(FailureKind::TooLarge);
    let retry = SettleAs::Retry { at: t.at(60) };
    t.settle(&[
        attempt(0, Some(503), server, dead(exhausted)),
        attempt(1, None, Some(FailureKind::Timeout), retry),
        attempt(2, Some(204), None, SettleAs::Delivered),
        attempt(3, Some(413), large, dead(permanent)),
    ])
    .await;
    sent
}

/// How it failed and with which response, for as long as its series lasts.
pub(crate) async fn the_last_attempt_is_kept_with_its_delivery(t: &Bench) {
    let sent = tried(t).await;
    let last = async |id| {
        let record = t.delivery(id).await;
        (record.last_status, record.last_failure)
    };
    assert_eq!(
        last(sent[0]).await,
        (Some(503), Some(FailureKind::ServerError))
    );
    assert_eq!(last(sent[1]).await, (None, Some(FailureKind::Timeout)));
    assert_eq!(last(sent[2]).await, (Some(204), None));
    let query = DeliveryQuery::of_delivery(sent[0]);
    let replay = t.storage.change(&query, Change::Replay, 1, t.at(1)).await;
    assert_eq!(replay.unwrap().changed, 1);
    assert_eq!(last(sent[0]).await, (None, None), "a new series");
}

/// What operators ask for when something fails.
pub(crate) async fn deliveries_are_found_by_their_last_attempt(t: &Bench) {
    let sent = tried(t).await;
    let finds = async |change: &dyn Fn(&mut DeliveryQuery), expected: &[DeliveryId]| {
        finds(t, change, expected).await;
    };
    finds(
        &|q| q.last_status = Some(StatusFilter::Exact(503)),
        &sent[..1],
    )
    .await;
    finds(
        &|q| q.last_status = Some(StatusFilter::Class(2)),
        &sent[2..3],
    )
    .await;
    finds(
        &|q| q.last_status = Some(StatusFilter::NoResponse),
        &sent[1..2],
    )
    .await;
    finds(
        &|q| q.last_failures = vec![FailureKind::Timeout],
        &sent[1..2],
    )
    .await;
    let both = vec![FailureKind::ServerError, FailureKind::TooLarge];
    finds(&|q| q.last_failures = both.clone(), &[sent[0], sent[3]]).await;
    let permanent = vec![DeadReason::PermanentFailure];
    finds(&|q| q.dead_reasons = permanent.clone(), &sent[3..]).await;
    let expired = vec![DeadReason::Expired, DeadReason::Poison];
    finds(&|q| q.dead_reasons = expired.clone(), &[]).await;
}

/// An attempt under a lease that was lost is no last attempt of the delivery's.
pub(crate) async fn a_stale_attempt_is_not_the_last_one(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let mut stale = t.failed(&delivery, DEAD_NOW);
    stale.token += 1;
    t.settle(&[stale]).await;
    let record = t.delivery(delivery.id).await;
    assert_eq!((record.last_status, record.last_failure), (None, None));
}

const DEAD_NOW: SettleAs = SettleAs::Dead {
    reason: DeadReason::AttemptsExhausted,
};

/// Both ends of a time of changes: the first is in it and the last is not.
pub(crate) async fn what_changed_in_a_time_is_found(t: &Bench) {
    t.save(&["a"]).await;
    let sent = t.send_many("a", 2).await;
    let taken = t.take(10).await;
    t.settle_at(&[t.settlement(&taken[1], SettleAs::Delivered)], t.at(20))
        .await;
    finds(t, |q| q.updated_from = Some(t.at(20)), &sent[1..]).await;
    finds(t, |q| q.updated_from = Some(t.at(10)), &sent).await;
    finds(t, |q| q.updated_from = Some(t.at(21)), &[]).await;
    let between = |q: &mut DeliveryQuery| {
        (q.updated_from, q.updated_before) = (Some(t.at(10)), Some(t.at(20)));
    };
    finds(t, between, &sent[..1]).await;
}

/// A text that no endpoint can have, and too many ids, are errors and not an empty answer.
pub(crate) async fn bad_queries_are_refused(t: &Bench) {
    let query = DeliveryQuery::default;
    let many_endpoints = DeliveryQuery {
        endpoint_ids: Some(vec!["a".into(); 1_001]),
        ..query()
    };
    let many_ids = DeliveryQuery {
        ids: Some(vec![DeliveryId::new(t.at(0)); 1_001]),
        ..query()
    };
    let no_tenant = DeliveryQuery {
        tenant: Some("".into()),
        ..query()
    };
    for (field, query) in [
        ("endpoint_ids", DeliveryQuery::of_endpoint("a b")),
        ("endpoint_ids", many_endpoints),
        ("ids", many_ids),
        ("tenant", no_tenant),
    ] {
        refuses(field, t.storage.deliveries(&query).await);
        let changed = t.storage.change(&query, Change::Cancel, 10, t.at(0)).await;
        refuses(field, changed);
        refuses(field, t.storage.count(&query, 10).await);
        let by = [GroupBy::EndpointId];
        refuses(field, t.storage.count_by(&query, &by, 10).await);
    }
    for limit in [0, 1_001] {
        let query = DeliveryQuery { limit, ..query() };
        refuses("limit", t.storage.deliveries(&query).await);
    }
}

/// Whether the error names the field, so that who asked finds it.
fn refuses<T: std::fmt::Debug>(field: &str, answer: Result<T, WebhookError>) {
    match answer {
        Err(WebhookError::InvalidQuery(text)) => {
            assert!(text.to_string().starts_with(field), "{field}: {text}");
        }
        other => panic!("{field} is not refused: {other:?}"),
    }
}

/// Filters of an attempt, of a time and of the event have to match together: each delivery here
/// fails one of them alone.
pub(crate) async fn filters_of_all_kinds_match_together(t: &Bench) {
    t.save(&["b"]).await;
    let other = t.dead_one("b").await;
    let sent = tried(t).await;
    let all = |q: &mut DeliveryQuery| {
        let mut ids = sent.clone();
        ids.push(other);
        q.ids = Some(ids);
        q.endpoint_ids = Some(vec!["a".into()]);
        q.event_type = Some(EventFilter::new("user.*").unwrap());
        q.states = vec![DeliveryState::Dead, DeliveryState::Scheduled];
        q.dead_reasons = vec![DeadReason::AttemptsExhausted];
        q.last_failures = vec![FailureKind::ServerError, FailureKind::TooLarge];
        q.last_status = Some(StatusFilter::Class(5));
        (q.updated_from, q.updated_before) = (Some(t.at(0)), Some(t.at(1)));
    };
    finds(t, all, &sent[..1]).await;
    let later = |q: &mut DeliveryQuery| {
        all(q);
        q.updated_from = Some(t.at(1));
    };
    finds(t, later, &[]).await;
}

/// A filter by what came of attempts does not reach those that wait for their first.
pub(crate) async fn filters_of_attempts_leave_what_was_not_tried(t: &Bench) {
    t.save(&["a"]).await;
    let dead = t.dead_one("a").await;
    t.send("a").await;
    let query = DeliveryQuery {
        last_failures: FailureKind::ALL.to_vec(),
        ..DeliveryQuery::default()
    };
    assert_eq!(found(t, &query).await, [dead]);
    let changed = t.storage.change(&query, Change::Purge, 10, t.at(0)).await;
    assert_eq!(changed.unwrap().changed, 1);
    assert_eq!(t.counts(None).await.ready, 1);
    assert_eq!(
        t.list(&DeliveryQuery::default()).await[0].state,
        DeliveryState::Ready
    );
}

//! Definitions, gates, revisions and tombstones. Nodes keep copies of all endpoints and read what
//! has changed by revision: a change that does not show up leaves a node sending by what was.

use std::collections::{BTreeMap, HashMap};

use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::storage::{DisabledBy, Expected, GateState, Saved};
use webhooks_core::{
    BatchConfig, DeliveryState, OnDead, OrderBy, PreviousSecret, RateLimitConfig, SignatureScheme,
    WebhookEndpoint,
};

use super::content_filters::{FILTER, filter};
use crate::bench::{Bench, endpoint};

/// Every field, with texts that quoting and encoding get wrong, and numbers at the ends of their
/// range.
pub(crate) async fn a_saved_endpoint_is_read_back_whole(t: &Bench) {
    let whole = WebhookEndpoint {
        id: "bücher-1".into(),
        url: "https://example.com/in?a=1&b='%22".into(),
        secret: "geheim \u{1f511} \"quoted\" \\".into(),
        events: vec!["user.*".into(), "order.created".into()],
        filter: Some(filter(FILTER)),
        enabled: true,
        rate_limit: Some(RateLimitConfig {
            requests_per_second: 7,
            burst_size: 1_000_000,
        }),
        headers: HashMap::from([
            ("X-One".into(), "1".into()),
            ("authorization".into(), "Bearer x".into()),
        ]),
        content_type: Some("application/x; a=\"b\"".into()),
        user_agent: Some("agent/1 (it's)".into()),
        accepted_statuses: vec![302, 409],
        timeout_seconds: 3_600,
        tenant: Some("org_1".into()),
        batch: Some(BatchConfig {
            max_events: 10,
            max_wait_ms: 500,
            max_bytes: 1 << 20,
        }),
        signature: SignatureScheme::Both,
        previous_secrets: vec![PreviousSecret {
            secret: "old".into(),
            expires_at: t.at(60),
        }],
        ordering: OrderBy::Key,
        on_dead: OnDead::Hold,
        description: "of the \"billing\" team, b\u{fc}cher\n".into(),
        metadata: BTreeMap::from([
            ("team".into(), "a'b".into()),
            ("\u{1f511}".into(), "".into()),
        ]),
    };
    t.storage.save_endpoint(&whole).await.unwrap();
    let read = t.storage.get_endpoint(&whole.id).await.unwrap();
    assert!(read.as_ref() == Some(&whole), "{read:?} is not {whole:?}");
    // With the record: it has the gate of one that was never touched.
    let listed = t.record(&whole.id).await;
    assert!(*listed.endpoint == whole && listed.gate == GateState::default());
}

/// Ids are compared byte by byte: a database that folds case would give one tenant another's
/// endpoint.
pub(crate) async fn an_unknown_endpoint_is_none(t: &Bench) {
    assert!(t.storage.get_endpoint("nobody").await.unwrap().is_none());
    t.save(&["a"]).await;
    assert!(t.storage.get_endpoint("A").await.unwrap().is_none());
}

/// Nothing of the earlier definition stays, and a listing has the endpoint once.
pub(crate) async fn saving_again_replaces_the_definition(t: &Bench) {
    t.save(&["a"]).await;
    let mut changed = endpoint("a");
    changed.url = "https://example.org/new".into();
    changed.headers.insert("x-new".into(), "1".into());
    t.storage.save_endpoint(&changed).await.unwrap();
    let read = t.storage.get_endpoint("a").await.unwrap();
    assert!(read == Some(changed), "the last definition counts");
    let all = t.storage.endpoints_since(0, 100).await.unwrap();
    assert_eq!(all.records.len(), 1, "an endpoint is listed once");
}

/// A deletion has to be told like any change, or nodes that hold a copy go on sending. So the
/// record stays, with a new revision.
pub(crate) async fn a_deleted_endpoint_leaves_a_tombstone(t: &Bench) {
    t.save(&["a"]).await;
    let before = t.record("a").await.revision;
    assert!(t.delete("a", t.at(0)).await);
    assert!(t.storage.get_endpoint("a").await.unwrap().is_none());
    let tombstone = t.record("a").await;
    assert!(tombstone.deleted && tombstone.revision > before);
    assert!(!tombstone.takes_events() && !tombstone.is_open());
}

/// Neither an unknown id nor a tombstone can be deleted; no new revision comes of it.
pub(crate) async fn deleting_what_is_not_there_is_false(t: &Bench) {
    assert!(!t.delete("nobody", t.at(0)).await);
    t.save(&["a"]).await;
    assert!(t.delete("a", t.at(0)).await);
    assert!(!t.delete("a", t.at(0)).await);
}

/// What waits ends as cancelled, at this endpoint alone. What is leased is its holder's to end.
pub(crate) async fn deleting_cancels_what_waits_and_leaves_the_rest(t: &Bench) {
    // One that is leased, one ready, one scheduled, and one of another endpoint.
    t.save(&["a", "b"]).await;
    let leased = t.lease_one("a").await.id;
    let ready = t.send("a").await;
    let other = t.send("b").await;
    let mut later = t.event(&["a"]);
    later.due_at = t.at(60);
    t.enqueue(&[later.clone()]).await;
    t.delete("a", t.at(1)).await;
    assert_eq!(t.state(ready).await, DeliveryState::Cancelled);
    assert_eq!(
        t.state(later.deliveries[0].id).await,
        DeliveryState::Cancelled
    );
    assert_eq!(t.state(leased).await, DeliveryState::Leased);
    assert_eq!(t.state(other).await, DeliveryState::Ready);
    assert_eq!(t.counts(Some("a")).await.cancelled, 2);
    // Also once the scheduled one would be due.
    assert_eq!(t.take(120).await.len(), 1, "only b's is still to be had");
}

/// The id comes back with nothing of what was decided about the old endpoint but its epoch, which
/// goes on: late decisions about the old one stay void.
pub(crate) async fn saving_a_deleted_endpoint_revives_it_with_a_fresh_gate(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Pause).await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    let old = t.send("a").await;
    t.delete("a", t.at(0)).await;
    t.save(&["a"]).await;
    let record = t.record("a").await;
    // Fresh, and in the next epoch.
    assert!(!record.deleted && record.gate == GateState::default().anew());
    assert_eq!(t.state(old).await, DeliveryState::Cancelled);
    t.lease_one("a").await;
}

/// By saves, gates and deletions alike, over all endpoints. A beat tells the newest one.
pub(crate) async fn revisions_grow_with_every_change(t: &Bench) {
    t.save(&["a", "b"]).await;
    let mut last = t.record("b").await.revision;
    assert!(t.record("a").await.revision < last);
    for step in 0..3 {
        match step {
            0 => t.save(&["a"]).await,
            1 => t.gate("a", GateChange::Pause).await,
            _ => assert!(t.delete("a", t.at(0)).await),
        }
        let revision = t.record("a").await.revision;
        assert!(revision > last, "step {step} makes a new revision");
        let beat = t.storage.beat(None, None).await.unwrap();
        assert_eq!(beat.revision, revision, "a beat tells of it");
        last = revision;
    }
}

/// Pages follow each other by revision, and the last leads to the newest revision, from where a
/// reader goes on with the next beat.
pub(crate) async fn changes_are_listed_in_pages(t: &Bench) {
    t.save(&["a", "b", "c", "d", "e"]).await;
    let (mut seen, mut revision, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = t.storage.endpoints_since(revision, 2).await.unwrap();
        assert!(page.records.len() <= 2 && pages < 10);
        pages += 1;
        seen.extend(page.records.iter().map(|r| r.endpoint.id.clone()));
        revision = page.revision;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"], "by growing revision");
    assert_eq!(
        revision,
        t.storage.beat(None, None).await.unwrap().revision,
        "the last page leads to the newest revision"
    );
}

/// Asked at the newest revision, nothing comes; after one change, that endpoint alone.
pub(crate) async fn only_later_changes_are_listed(t: &Bench) {
    t.save(&["a", "b"]).await;
    let all = t.storage.endpoints_since(0, 100).await.unwrap();
    let none = t.storage.endpoints_since(all.revision, 100).await.unwrap();
    assert!(none.records.is_empty() && !none.more);
    assert_eq!(none.revision, all.revision);
    t.gate("a", GateChange::Pause).await;
    let one = t.storage.endpoints_since(all.revision, 100).await.unwrap();
    assert_eq!(one.records.len(), 1);
    assert!(one.records[0].endpoint.id == "a" && one.records[0].gate.paused);
}

/// An operator who resumes an endpoint wants it served now, whatever it asked for earlier.
pub(crate) async fn resuming_ends_a_pause_and_a_hold(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Pause).await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    let gate = t.record("a").await.gate;
    assert!(gate.paused && gate.held_until == Some(t.at(60)));
    t.gate("a", GateChange::Resume).await;
    let gate = t.record("a").await.gate;
    assert!(!gate.paused && gate.held_until.is_none());
    t.lease_one("a").await;
}

/// `enabled` is part of the definition, so every reader of it sees the change. An endpoint that is
/// failing still takes events: they wait for its recovery, while one that is gone takes none.
pub(crate) async fn disabling_changes_the_definition(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Disable(DisabledBy::Gone)).await;
    let record = t.record("a").await;
    assert!(!record.endpoint.enabled && record.gate.disabled == Some(DisabledBy::Gone));
    assert!(!record.takes_events());
    let read = t.storage.get_endpoint("a").await.unwrap().unwrap();
    assert!(!read.enabled, "get_endpoint says so too");
    // Failing is another reason than gone: it takes events, and is as closed.
    t.gate("a", GateChange::Disable(DisabledBy::Failing)).await;
    let record = t.record("a").await;
    assert!(record.takes_events() && !record.is_open());
}

/// Nothing makes an unverified endpoint active but a save as enabled, which the system makes once
/// the challenge was answered. Any other way would let a caller send requests to a stranger's URL.
pub(crate) async fn an_unverified_endpoint_stays_so_until_it_is_saved_enabled(t: &Bench) {
    t.save(&["a"]).await;
    let unverified = GateChange::Disable(DisabledBy::Unverified);
    t.gate("a", unverified).await;
    // By whatever else could change the state of an endpoint.
    for change in [
        GateChange::Disable(DisabledBy::Operator),
        GateChange::Disable(DisabledBy::Gone),
        GateChange::Disable(DisabledBy::Failing),
        GateChange::Resume,
        unverified,
    ] {
        t.gate("a", change).await;
        let record = t.record("a").await;
        assert_eq!(record.gate.disabled, Some(DisabledBy::Unverified));
        assert!(!record.takes_events() && !record.is_open());
    }
    // A save of the definition as disabled is no verification.
    let off = WebhookEndpoint {
        enabled: false,
        ..endpoint("a")
    };
    t.storage.save_endpoint(&off).await.unwrap();
    let gate = t.record("a").await.gate;
    assert_eq!(gate.disabled, Some(DisabledBy::Unverified));
    // Enabling by hand is none either.
    t.gate("a", GateChange::Enable).await;
    let gate = t.record("a").await.gate;
    assert_eq!(gate.disabled, Some(DisabledBy::Unverified));
    // This is what the system does once the challenge was answered.
    t.save(&["a"]).await;
    let record = t.record("a").await;
    assert!(record.takes_events() && record.gate == GateState::default());
    // From then on it can be disabled like any other.
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    let gate = t.record("a").await.gate;
    assert_eq!(gate.disabled, Some(DisabledBy::Operator));
}

/// Enabling is a fresh start: holds, limits and the time of failing are of the past. A pause is a
/// decision of its own and stays.
pub(crate) async fn enabling_clears_everything_but_a_pause(t: &Bench) {
    t.save(&["a"]).await;
    for change in [
        GateChange::Pause,
        GateChange::Hold { until: t.at(60) },
        GateChange::LimitLeased(Some(3)),
        GateChange::FailingSince(t.at(-60)),
        GateChange::Disable(DisabledBy::Operator),
        GateChange::Enable,
    ] {
        t.gate("a", change).await;
    }
    let record = t.record("a").await;
    let mut paused = GateState::default().anew();
    paused.paused = true;
    assert!(record.endpoint.enabled);
    assert_eq!(record.gate, paused);
}

/// Several nodes set holds for the same endpoint. The longest is what all of them need.
pub(crate) async fn a_hold_never_moves_back(t: &Bench) {
    t.save(&["a"]).await;
    // A longer one, a shorter one, and a longer one again.
    for (until, expected) in [(60, 60), (30, 60), (90, 90)] {
        let until = t.at(until);
        t.gate("a", GateChange::Hold { until }).await;
        assert_eq!(t.record("a").await.gate.held_until, Some(t.at(expected)));
    }
}

/// 0 is a limit that lets nothing go, and is not the same as none.
pub(crate) async fn the_limit_of_leases_is_set_and_cleared(t: &Bench) {
    t.save(&["a"]).await;
    for most in [Some(3), Some(0), None] {
        t.gate("a", GateChange::LimitLeased(most)).await;
        assert_eq!(t.record("a").await.gate.max_leased, most);
    }
}

/// The first failure of the series counts, or each new one would put off the disabling for ever.
pub(crate) async fn failing_since_keeps_the_first_time_until_recovered(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::FailingSince(t.at(1))).await;
    t.gate("a", GateChange::FailingSince(t.at(2))).await;
    assert_eq!(t.record("a").await.gate.failing_since, Some(t.at(1)));
    t.gate("a", GateChange::Recovered).await;
    assert_eq!(t.record("a").await.gate.failing_since, None);
}

/// A save speaks of the definition. A writer who knows nothing of a pause must not end it; only a
/// save as enabled lifts a disabling.
pub(crate) async fn saving_keeps_the_gate_but_for_what_enabled_lifts(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Pause).await;
    t.gate("a", GateChange::LimitLeased(Some(2))).await;
    t.gate("a", GateChange::Disable(DisabledBy::Failing)).await;
    // Saved as disabled: why it is disabled stays.
    let off = WebhookEndpoint {
        enabled: false,
        ..endpoint("a")
    };
    t.storage.save_endpoint(&off).await.unwrap();
    let gate = t.record("a").await.gate;
    assert_eq!(gate.disabled, Some(DisabledBy::Failing));
    // Saved as enabled: that is lifted, and the rest of the gate is not.
    t.save(&["a"]).await;
    let record = t.record("a").await;
    assert!(record.endpoint.enabled && record.gate.disabled.is_none());
    assert!(record.gate.paused && record.gate.max_leased == Some(2));
}

/// Gates are stored for many endpoints in one call. One that was deleted meanwhile must not cost
/// the others what was decided about them.
pub(crate) async fn gates_of_unknown_endpoints_are_passed_over(t: &Bench) {
    t.save(&["a", "gone"]).await;
    t.delete("gone", t.at(0)).await;
    let pause = |id: &str| EndpointGate {
        endpoint_id: id.into(),
        epoch: None,
        change: GateChange::Pause,
    };
    // The good one stands last, behind both that are passed over.
    let gates = [pause("nobody"), pause("gone"), pause("a")];
    t.storage.set_gates(&gates, t.at(0)).await.unwrap();
    assert!(t.record("a").await.gate.paused);
    assert!(t.record("gone").await.deleted);
}

/// Several changes of one endpoint in one call have the effect that the same calls would have one
/// by one.
pub(crate) async fn gates_of_one_call_are_changed_in_order(t: &Bench) {
    t.save(&["a"]).await;
    let change = |change| EndpointGate {
        endpoint_id: "a".into(),
        epoch: None,
        change,
    };
    let gates = [
        change(GateChange::Pause),
        change(GateChange::Hold { until: t.at(9) }),
        change(GateChange::Resume),
        change(GateChange::LimitLeased(Some(1))),
        change(GateChange::LimitLeased(Some(4))),
    ];
    t.storage.set_gates(&gates, t.at(0)).await.unwrap();
    // Of each pair the later one has won.
    let mut limited = GateState::default();
    limited.max_leased = Some(4);
    assert_eq!(t.record("a").await.gate, limited);
}

fn of_tenant(id: &str, tenant: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        tenant: Some(tenant.into()),
        ..endpoint(id)
    }
}

/// Of two writers that read the same definition, the second gets a conflict instead of undoing what
/// the first has done. Revisions go on over a deletion, so that a writer from before it gets one
/// too.
pub(crate) async fn a_definition_is_saved_over_what_is_expected(t: &Bench) {
    let save = async |expected| {
        let saved = t.storage.save_definition(&endpoint("a"), expected).await;
        saved.unwrap()
    };
    assert_eq!(save(Expected::Revision(1)).await, Saved::Conflict);
    let Saved::Stored(first) = save(Expected::Absent).await else {
        panic!("there was none");
    };
    assert_eq!(t.record("a").await.definition_revision, first);
    // It is there now.
    assert_eq!(save(Expected::Absent).await, Saved::Conflict);
    assert_eq!(save(Expected::Revision(first + 1)).await, Saved::Conflict);
    let Saved::Stored(second) = save(Expected::Revision(first)).await else {
        panic!("that one was there");
    };
    assert!(second > first);
    assert_eq!(save(Expected::Revision(first)).await, Saved::Conflict);
    // Who expects nothing always stores.
    assert!(matches!(save(Expected::Any).await, Saved::Stored(_)));
    let last = t.record("a").await.definition_revision;
    t.delete("a", t.at(0)).await;
    assert_eq!(save(Expected::Revision(last)).await, Saved::Conflict);
    let Saved::Stored(third) = save(Expected::Absent).await else {
        panic!("it was deleted");
    };
    // The tombstone counts as absent.
    assert!(third > last, "a revision is never used twice");
}

/// A pause by an operator is no change of the definition, so it makes no writer's save a conflict.
pub(crate) async fn a_gate_does_not_move_the_definition_revision(t: &Bench) {
    t.save(&["a"]).await;
    let before = t.record("a").await;
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    let after = t.record("a").await;
    assert!(after.revision > before.revision);
    assert_eq!(after.definition_revision, before.definition_revision);
    assert_eq!(after.incarnation, before.incarnation);
}

/// The check and the save are one step. Were they two, all eight would find nothing and store.
pub(crate) async fn only_one_of_many_registers_an_id(t: &Bench) {
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..8 {
        // Each for a tenant of its own, so that the one that was stored can be recognised.
        let (storage, endpoint) = (t.storage.clone(), of_tenant("a", &format!("org_{n}")));
        racing.spawn(async move {
            let saved = storage.save_definition(&endpoint, Expected::Absent).await;
            matches!(saved.unwrap(), Saved::Stored(_)).then_some(endpoint)
        });
    }
    let first: Vec<_> = racing.join_all().await.into_iter().flatten().collect();
    assert_eq!(first.len(), 1);
    let stored = t.storage.get_endpoint("a").await.unwrap();
    assert!(stored.as_ref() == first.first());
}

/// A rotation reads, changes and stores. It takes only the secrets from the caller's copy, which
/// may be older than what gates and other nodes have done.
pub(crate) async fn secrets_are_saved_alone(t: &Bench) {
    t.save(&["a"]).await;
    let before = t.record("a").await.definition_revision;
    // A gate, between the read and the rotation.
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    let mut rotated = endpoint("a");
    rotated.rotate_secret("the new one".into(), t.at(60), t.at(0));
    // What the caller's copy says besides is not to be stored.
    rotated.url = "https://example.org/not-this".into();
    let saved = t.storage.save_secrets(&rotated, before).await.unwrap();
    assert!(matches!(saved, Saved::Stored(after) if after > before));
    let record = t.record("a").await;
    assert_eq!(record.gate.disabled, Some(DisabledBy::Operator));
    assert!(!record.endpoint.enabled, "what a gate closed stays closed");
    assert_eq!(record.endpoint.url, endpoint("a").url);
    assert_eq!(record.endpoint.secret, rotated.secret);
    assert!(record.endpoint.previous_secrets == rotated.previous_secrets);
    for id in ["a", "nobody"] {
        rotated.id = id.into();
        let again = t.storage.save_secrets(&rotated, before).await.unwrap();
        assert_eq!(again, Saved::Conflict, "of {id}");
    }
}

/// The incarnation tells an endpoint from an earlier one of the same id: events of one tenant must
/// not go to the next owner of the id. A new URL alone is still the same endpoint.
pub(crate) async fn another_tenant_begins_a_new_incarnation(t: &Bench) {
    let save = async |endpoint: &WebhookEndpoint| {
        t.storage.save_endpoint(endpoint).await.unwrap();
        t.record("a").await.incarnation
    };
    let first = save(&of_tenant("a", "org_1")).await;
    let mut other_url = of_tenant("a", "org_1");
    other_url.url = "https://example.org/".into();
    assert_eq!(save(&other_url).await, first);
    // To another tenant, and from it to none: each is a new one.
    let second = save(&of_tenant("a", "org_2")).await;
    let third = save(&endpoint("a")).await;
    assert!(first < second && second < third);
    // After a deletion too.
    t.delete("a", t.at(0)).await;
    assert!(save(&endpoint("a")).await > third);
}

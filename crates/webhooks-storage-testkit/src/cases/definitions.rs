//! Revisions and times of definitions.

use std::time::Duration;

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Deleted, Expected, Saved};

use crate::bench::{Bench, endpoint};

/// Of two that delete what they have seen, one has seen something else.
pub(crate) async fn a_definition_is_deleted_if_it_is_the_expected_one(t: &Bench) {
    let delete = async |expected| {
        let deleted = t.storage.delete_endpoint("a", expected, t.at(0)).await;
        deleted.unwrap()
    };
    assert_eq!(delete(Expected::Any).await, Deleted::Absent);
    assert_eq!(delete(Expected::Revision(1)).await, Deleted::Absent);
    t.save(&["a"]).await;
    t.send("a").await;
    let revision = t.record("a").await.definition_revision;
    assert_eq!(
        delete(Expected::Revision(revision + 1)).await,
        Deleted::Conflict
    );
    assert_eq!(delete(Expected::Absent).await, Deleted::Conflict);
    assert_eq!(t.counts(None).await.ready, 1, "a conflict changes nothing");
    t.gate("a", GateChange::Pause).await;
    let expected = Expected::Revision(revision);
    assert_eq!(
        delete(expected).await,
        Deleted::Deleted,
        "a gate moves no revision"
    );
    assert_eq!(delete(expected).await, Deleted::Absent);
    assert_eq!(t.counts(None).await.cancelled, 1);
}

/// When it was made and when it was changed last, which gates are not.
pub(crate) async fn a_definition_has_its_times(t: &Bench) {
    t.save(&["a"]).await;
    let first = t.record("a").await;
    assert_eq!(first.created_at, first.updated_at);
    let start = t.at(0);
    let is_near = |at: webhooks_core::Timestamp| {
        at.since(start).max(start.since(at)) < Duration::from_secs(600)
    };
    assert!(is_near(first.created_at), "by the storage's own clock");
    t.until_past(first.updated_at).await;
    t.gate("a", GateChange::Pause).await;
    let gated = t.record("a").await;
    assert_eq!(
        (gated.created_at, gated.updated_at),
        (first.created_at, first.updated_at)
    );
    t.save(&["a"]).await;
    let second = t.record("a").await;
    assert_eq!(second.created_at, first.created_at);
    assert!(second.updated_at > first.updated_at);
    t.until_past(second.updated_at).await;
    let saved = t
        .storage
        .save_secrets(&endpoint("a"), second.definition_revision)
        .await;
    assert!(matches!(saved.unwrap(), Saved::Stored(_)));
    assert!(t.record("a").await.updated_at > second.updated_at);
    t.delete("a", t.at(0)).await;
    t.save(&["a"]).await;
    let revived = t.record("a").await;
    assert!(
        revived.created_at > first.created_at,
        "a new one under its id"
    );
    let read = t.storage.endpoint_record("a").await.unwrap().unwrap();
    assert_eq!(
        (read.created_at, read.updated_at),
        (revived.created_at, revived.updated_at)
    );
}

/// Who has read changes up to there has matched an event with all that was there: a definition that is
/// newer is told with the commit, and a gate is not.
pub(crate) async fn a_commit_tells_of_the_newest_definition(t: &Bench) {
    let definitions = async || {
        let event = t.event(&[]);
        let commit = t.storage.enqueue(&[event], None, t.at(0)).await;
        commit.unwrap().definitions
    };
    let newest = async || t.storage.endpoints_since(0, 1_000).await.unwrap().revision;
    t.save(&["a"]).await;
    let first = definitions().await;
    assert_eq!(first, newest().await);
    t.gate("a", GateChange::Pause).await;
    assert_eq!(definitions().await, first);
    assert!(newest().await > first);
    t.save(&["b"]).await;
    assert_eq!(definitions().await, newest().await);
    let revision = t.record("a").await.definition_revision;
    let saved = t.storage.save_secrets(&endpoint("a"), revision).await;
    let Saved::Stored(saved) = saved.unwrap() else {
        panic!("it was the expected one");
    };
    assert_eq!(definitions().await, saved);
    t.delete("b", t.at(0)).await;
    assert_eq!(definitions().await, newest().await);
}

/// A commit beside which endpoints are registered tells of all that were there when it began: who
/// trusts a smaller revision leaves a new endpoint without its event.
pub(crate) async fn a_commit_never_tells_of_less_than_there_was(t: &Bench) {
    let storage = t.storage.clone();
    let registers = tokio::spawn(async move {
        for n in 0..30 {
            let new = endpoint(&format!("endpoint_{n}"));
            storage.save_endpoint(&new).await.unwrap();
        }
    });
    let mut is_over = false;
    while !is_over {
        // Once more after the last one.
        is_over = registers.is_finished();
        let before = t.storage.endpoints_since(0, 1_000).await.unwrap().revision;
        let commit = t.storage.enqueue(&[t.event(&[])], None, t.at(0)).await;
        let definitions = commit.unwrap().definitions;
        assert!(definitions >= before, "{definitions} is less than {before}");
    }
    registers.await.unwrap();
}

//! Small texts beside the deliveries.

use webhooks_core::WebhookError;
use webhooks_core::storage::{
    Deleted, Document, DocumentQuery, DocumentStore, Expected, MAX_DOCUMENT, Retention, Saved,
};

use crate::bench::Bench;

/// The documents, where the storage keeps some: it has said so.
fn documents(t: &Bench) -> Option<&dyn DocumentStore> {
    let documents = t.storage.documents();
    assert_eq!(documents.is_some(), t.capabilities.documents);
    documents
}

fn revision(saved: Result<Saved, WebhookError>) -> u64 {
    match saved.unwrap() {
        Saved::Stored(revision) => revision,
        Saved::Conflict => panic!("it was expected"),
    }
}

/// To the byte, under any name.
pub(crate) async fn a_document_is_read_back(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    let text = "{\"k\u{e9}y\": \"va'l\\ue\"}\n";
    for (kind, id) in [("kind", "id"), ("kind", "ID"), ("k:i\u{e9}nd", "a b/c:d*")] {
        let document = Document::new(id, format!("{text}{kind}{id}"));
        let put = documents
            .put(kind, &document, Expected::Absent, t.at(0))
            .await;
        let revision = revision(put);
        let read = documents.get(kind, id, t.at(0)).await.unwrap().unwrap();
        let expected = Document {
            revision,
            ..document
        };
        assert_eq!(read, expected);
        assert_eq!(read.value, expected.value);
    }
    assert!(
        documents
            .get("kind", "nobody", t.at(0))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        documents
            .get("other", "id", t.at(0))
            .await
            .unwrap()
            .is_none()
    );
}

/// Of two that change what they have seen, one has seen something else; a revision never comes back.
pub(crate) async fn a_document_is_changed_if_it_is_the_expected_one(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    let put = async |expected| {
        let document = Document::new("id", "value");
        documents.put("kind", &document, expected, t.at(0)).await
    };
    let first = revision(put(Expected::Absent).await);
    assert_eq!(put(Expected::Absent).await.unwrap(), Saved::Conflict);
    assert_eq!(
        put(Expected::Revision(first + 1)).await.unwrap(),
        Saved::Conflict
    );
    let second = revision(put(Expected::Revision(first)).await);
    assert!(second > first);
    assert_eq!(
        put(Expected::Revision(first)).await.unwrap(),
        Saved::Conflict
    );
    let third = revision(put(Expected::Any).await);
    let delete = async |expected| {
        documents
            .delete("kind", "id", expected, t.at(0))
            .await
            .unwrap()
    };
    assert_eq!(delete(Expected::Revision(second)).await, Deleted::Conflict);
    assert_eq!(delete(Expected::Revision(third)).await, Deleted::Deleted);
    assert_eq!(delete(Expected::Any).await, Deleted::Absent);
    assert!(revision(put(Expected::Absent).await) > third);
    assert_eq!(delete(Expected::Absent).await, Deleted::Conflict);
    assert_eq!(delete(Expected::Any).await, Deleted::Deleted);
}

/// One of many wins, as it does when a link is used once.
pub(crate) async fn only_one_of_many_puts_what_is_absent(t: &Bench) {
    if documents(t).is_none() {
        return;
    }
    let tasks = (0..16).map(|n| {
        let (storage, now) = (t.storage.clone(), t.at(0));
        tokio::spawn(async move {
            let document = Document::new("link", n.to_string());
            let documents = storage.documents().unwrap();
            let put = documents.put("used", &document, Expected::Absent, now);
            put.await.unwrap() != Saved::Conflict
        })
    });
    let mut won = 0;
    for task in tasks.collect::<Vec<_>>() {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

/// From its time on it is as good as gone, though no sweep has been there.
pub(crate) async fn an_expired_document_is_absent(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    let mut document = Document::new("id", "value");
    document.expires_at = Some(t.at(10));
    revision(
        documents
            .put("kind", &document, Expected::Absent, t.at(0))
            .await,
    );
    let listed = async |second| {
        let query = DocumentQuery {
            limit: 10,
            ..Default::default()
        };
        let listed = documents.list("kind", &query, t.at(second)).await;
        listed.unwrap().len()
    };
    let read = documents.get("kind", "id", t.at(9)).await.unwrap().unwrap();
    assert_eq!(read.expires_at, Some(t.at(10)));
    assert_eq!(listed(9).await, 1);
    assert!(
        documents
            .get("kind", "id", t.at(10))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(listed(10).await, 0);
    let deleted = documents
        .delete("kind", "id", Expected::Any, t.at(10))
        .await;
    assert_eq!(deleted.unwrap(), Deleted::Absent);
    let again = documents
        .put("kind", &document, Expected::Absent, t.at(11))
        .await;
    assert!(revision(again) > read.revision);
}

/// Pages by id from either end, of one kind.
pub(crate) async fn documents_are_listed_by_id(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    for (kind, id) in [
        ("k", "b"),
        ("k", "a"),
        ("k", "c"),
        ("k2", "a"),
        ("j", "z"),
        ("k", "B"),
    ] {
        let document = Document::new(id, kind);
        revision(documents.put(kind, &document, Expected::Any, t.at(0)).await);
    }
    let list = async |after: Option<&str>, descending, limit| {
        let query = DocumentQuery {
            after: after.map(Into::into),
            descending,
            limit,
        };
        let listed = documents.list("k", &query, t.at(0)).await.unwrap();
        assert!(listed.iter().all(|document| document.value == "k"));
        listed
            .into_iter()
            .map(|document| document.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(None, false, 10).await, ["B", "a", "b", "c"]);
    assert_eq!(list(None, false, 2).await, ["B", "a"]);
    assert_eq!(list(Some("a"), false, 10).await, ["b", "c"]);
    assert_eq!(list(None, true, 2).await, ["c", "b"]);
    assert_eq!(list(Some("b"), true, 10).await, ["a", "B"]);
    assert_eq!(list(Some("a0"), true, 10).await, ["a", "B"]);
    assert!(list(Some("zz"), false, 10).await.is_empty());
}

/// Names and sizes have bounds, and an error names them before anything is stored.
pub(crate) async fn documents_out_of_bounds_are_refused(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    let put = async |kind: &str, id: &str, length| {
        let document = Document::new(id, "x".repeat(length));
        documents.put(kind, &document, Expected::Any, t.at(0)).await
    };
    revision(put("kind", "largest", MAX_DOCUMENT).await);
    for (kind, id, length) in [
        ("", "id", 1),
        ("kind", "", 1),
        ("kind", "a\nb", 1),
        ("kind", "id", MAX_DOCUMENT + 1),
    ] {
        let refused = put(kind, id, length).await;
        assert!(
            matches!(refused, Err(WebhookError::InvalidQuery(_))),
            "{kind} {id}"
        );
    }
    let query = DocumentQuery::default();
    let refused = documents.list("kind", &query, t.at(0)).await;
    assert!(matches!(refused, Err(WebhookError::InvalidQuery(_))));
}

/// What a sweep has dropped leaves its revision behind: who has read it before changes nothing of
/// what came after it.
pub(crate) async fn a_swept_documents_revision_never_comes_back(t: &Bench) {
    let Some(documents) = documents(t) else {
        return;
    };
    let mut document = Document::new("id", "value");
    document.expires_at = Some(t.at(10));
    let put = async |expected, second| {
        let put = documents.put("kind", &document, expected, t.at(second));
        put.await
    };
    let first = revision(put(Expected::Absent, 0).await);
    for _ in 0..2 {
        let retention = Retention::default();
        let swept = t.storage.sweep(&retention, 1_000, t.at(20)).await;
        assert!(!swept.unwrap().more);
    }
    let old = Expected::Revision(first);
    assert_eq!(put(old, 20).await.unwrap(), Saved::Conflict);
    assert!(revision(put(Expected::Absent, 0).await) > first);
    assert_eq!(put(old, 0).await.unwrap(), Saved::Conflict);
}

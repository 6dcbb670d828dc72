//! An idempotency key stands for one thing.

use webhooks_core::storage::EventQuery;
use webhooks_core::storage::spi::{Enqueued, Fingerprint, NewEvent};

use crate::bench::Bench;

fn keyed(t: &Bench, data: &[u8]) -> NewEvent {
    NewEvent {
        fingerprint: Some(Fingerprint::of("user.created", None, data)),
        ..t.keyed("key", None, &["a"])
    }
}

/// The same key with other data is a mistake of the sender's, who must hear of it.
pub(crate) async fn a_key_with_other_data_is_refused(t: &Bench) {
    t.save(&["a"]).await;
    let first = keyed(t, b"1");
    t.enqueue(std::slice::from_ref(&first)).await;
    let answers = t
        .enqueue(&[keyed(t, b"1"), keyed(t, b"2"), t.event(&["a"])])
        .await;
    assert!(
        matches!(&answers[0], Enqueued::Duplicate { event_id, .. } if *event_id == first.event.id)
    );
    assert_eq!(answers[1], Enqueued::KeyReused);
    assert!(
        matches!(answers[2], Enqueued::Stored { .. }),
        "it fails no other"
    );
    assert_eq!(t.counts(None).await.enqueued, 2);
    // The same call again is the first one, whatever it stands for.
    assert!(matches!(
        t.enqueue(&[first]).await[0],
        Enqueued::Stored { .. }
    ));
}

/// Within one call, too.
pub(crate) async fn a_key_is_compared_within_a_call(t: &Bench) {
    t.save(&["a"]).await;
    let answers = t
        .enqueue(&[keyed(t, b"1"), keyed(t, b"2"), keyed(t, b"1")])
        .await;
    assert!(matches!(answers[0], Enqueued::Stored { .. }));
    assert_eq!(answers[1], Enqueued::KeyReused);
    assert!(matches!(answers[2], Enqueued::Duplicate { .. }));
}

/// Who says nothing of it is taken for the same.
pub(crate) async fn a_key_without_a_fingerprint_stands_for_anything(t: &Bench) {
    t.save(&["a"]).await;
    let silent = || t.keyed("key", None, &["a"]);
    t.enqueue(&[silent()]).await;
    let answers = t.enqueue(&[keyed(t, b"1"), silent()]).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Enqueued::Duplicate { .. }))
    );
}

/// Of another tenant, and after its day, it is another key.
pub(crate) async fn a_forgotten_key_stands_for_nothing(t: &Bench) {
    t.save(&["a"]).await;
    t.enqueue(&[keyed(t, b"1")]).await;
    let mut of_tenant = t.keyed("key", Some("org_1"), &["a"]);
    of_tenant.fingerprint = keyed(t, b"2").fingerprint;
    let answers = t.enqueue(&[of_tenant]).await;
    assert!(matches!(answers[0], Enqueued::Stored { .. }));
    let answers = t.enqueue_at(&[keyed(t, b"2")], t.at(86_400)).await;
    assert!(matches!(answers[0], Enqueued::Stored { .. }));
}

/// Of two that use one key for two things at the same time, one hears of it.
pub(crate) async fn only_one_of_many_has_a_key(t: &Bench) {
    t.save(&["a"]).await;
    let tasks = (0..8_u8).map(|n| {
        let (storage, new, now) = (t.storage.clone(), keyed(t, &[n]), t.at(0));
        tokio::spawn(async move {
            let commit = storage.enqueue(&[new], None, now).await;
            commit.unwrap().answers.remove(0)
        })
    });
    let (mut stored, mut reused) = (0, 0);
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Enqueued::Stored { .. } => stored += 1,
            Enqueued::KeyReused => reused += 1,
            other => panic!("neither stored nor refused: {other:?}"),
        }
    }
    assert_eq!((stored, reused), (1, 7));
    assert_eq!(t.counts(None).await.enqueued, 1);
}

/// What is refused for its key is not kept as an event either.
pub(crate) async fn nothing_is_kept_of_what_is_refused(t: &Bench) {
    t.save(&["a"]).await;
    let first = keyed(t, b"1");
    t.enqueue(&[first.clone(), keyed(t, b"2"), keyed(t, b"1")])
        .await;
    let events = t.storage.events(&EventQuery::default()).await.unwrap();
    let ids: Vec<_> = events.items.iter().map(|record| record.event.id).collect();
    assert_eq!(ids, [first.event.id]);
}

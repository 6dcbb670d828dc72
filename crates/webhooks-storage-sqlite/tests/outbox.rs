//! Events that are sent inside transactions of others.

mod support;

use support::events::{endpoint, event};
use support::{client, remove, storage};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Enqueued, NewEvent};
use webhooks_core::{EventId, Timestamp};

fn of_outbox(id: EventId, now: Timestamp) -> NewEvent {
    let mut new = event("a", b"{}", now);
    let mut sent = (*new.event).clone();
    sent.id = id;
    new.event = sent.into();
    new
}

#[tokio::test]
async fn an_event_exists_if_and_only_if_its_transaction_commits() {
    let storage = storage().await;
    let mut client = client(storage.path());
    let transaction = client.transaction().unwrap();
    storage
        .outbox(&transaction)
        .send("user.created", &1)
        .unwrap();
    drop(transaction);
    assert!(storage.read_outbox(10, 1 << 20).await.unwrap().is_empty());

    let transaction = client.transaction().unwrap();
    let id = storage
        .outbox(&transaction)
        .send("user.created", &1)
        .unwrap();
    assert!(
        !storage.beat(None, None).await.unwrap().outbox,
        "it is not committed"
    );
    transaction.commit().unwrap();
    assert!(storage.beat(None, None).await.unwrap().outbox);
    let read = storage.read_outbox(10, 1 << 20).await.unwrap();
    assert_eq!(read.iter().map(|event| event.id).collect::<Vec<_>>(), [id]);
    remove(storage.path());
}

#[tokio::test]
async fn a_commit_of_another_connection_wakes_who_waits() {
    let storage = storage().await;
    let now = storage.beat(None, None).await.unwrap().now;
    let client = client(storage.path());
    client
        .execute(
            "INSERT INTO webhook_send (event, data) VALUES ('a', '1')",
            [],
        )
        .unwrap();
    storage.wait().await.unwrap();
    let read = storage.read_outbox(10, 1 << 20).await.unwrap();
    assert!(read[0].created_at >= now && read[0].due_at == read[0].created_at);
    assert_eq!(read[0].id.as_uuid().get_version_num(), 7);
    assert_eq!(read[0].id.as_uuid().get_variant(), uuid::Variant::RFC4122);
    remove(storage.path());
}

#[tokio::test]
async fn each_event_leaves_the_outbox_once_with_its_deliveries() {
    let storage = storage().await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let client = client(storage.path());
    let id = storage.outbox(&client).send("a", &1).unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    let events = [of_outbox(id, now)];
    let stored = storage.enqueue_outbox(&events, None, now).await.unwrap();
    assert!(matches!(
        stored.answers[..],
        [Some(Enqueued::Stored { .. })]
    ));
    let again = storage.enqueue_outbox(&events, None, now).await.unwrap();
    assert_eq!(again.answers, [None]);
    assert_eq!(storage.counts(None).await.unwrap().enqueued, 1);
    assert!(storage.read_outbox(10, 1 << 20).await.unwrap().is_empty());
    remove(storage.path());
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_comes_back() {
    let storage = storage().await;
    let client = client(storage.path());
    let good = storage.outbox(&client).send("a", &1).unwrap();
    // Past the view.
    let sql = "INSERT INTO webhook_outbox (id, event_type, data, priority, created_at, due_at) \
               VALUES (randomblob(16), 'no good', '1', 1, 0, 0)";
    client.execute(sql, []).unwrap();
    let later = storage.outbox(&client).send("b", &1).unwrap();
    let ids: Vec<_> = storage.read_outbox(10, 1 << 20).await.unwrap();
    assert_eq!(ids.iter().map(|e| e.id).collect::<Vec<_>>(), [good, later]);

    let now = storage.beat(None, None).await.unwrap().now;
    assert!(
        storage
            .set_outbox_aside(good, "because", now)
            .await
            .unwrap()
    );
    assert!(
        !storage
            .set_outbox_aside(good, "because", now)
            .await
            .unwrap()
    );
    assert_eq!(storage.read_outbox(10, 1 << 20).await.unwrap().len(), 1);
    let retention = Default::default();
    let rest = now.after(webhooks_core::storage::spi::OUTBOX_REST);
    storage.sweep(&retention, 10, rest).await.unwrap();
    let ids = storage.read_outbox(10, 1 << 20).await.unwrap();
    assert!(ids.iter().any(|event| event.id == good));
    remove(storage.path());
}

#[tokio::test]
async fn reading_keeps_to_its_bounds_but_gives_one_at_least() {
    let storage = storage().await;
    let client = client(storage.path());
    for _ in 0..3 {
        storage.outbox(&client).send("a", &"x".repeat(98)).unwrap();
    }
    for (limit, bytes, count) in [(10, 1, 1), (10, 200, 2), (2, 1 << 20, 2), (10, 300, 3)] {
        let read = storage.read_outbox(limit, bytes).await.unwrap();
        assert_eq!(read.len(), count, "{limit} {bytes}");
    }
    remove(storage.path());
}

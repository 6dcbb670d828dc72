//! What the outbox gives is bounded, and nothing in it fails what is beside it.

mod support;

use std::time::Duration;

use support::{client, drop_schema, fresh_schema, storage};
use webhooks_core::storage::{Retention, WebhookStorage};

#[tokio::test]
async fn events_are_read_up_to_a_number_of_bytes_and_one_at_least() {
    let storage = storage(&fresh_schema()).await;
    let client = client().await;
    let outbox = storage.outbox(&client);
    let mut sent = Vec::new();
    for _ in 0..6 {
        let large = "x".repeat(1_000);
        sent.push(outbox.send("user.created", &large).await.unwrap());
    }
    let read = async |limit, bytes| {
        let found = WebhookStorage::read_outbox(&storage, limit, bytes).await;
        found
            .unwrap()
            .iter()
            .map(|event| event.id)
            .collect::<Vec<_>>()
    };
    sent.sort();
    assert_eq!(read(10, 3_100).await, sent[..3]);
    assert_eq!(read(2, 3_100).await, sent[..2]);
    assert_eq!(read(10, 10).await, sent[..1], "one at least");
    assert_eq!(read(10, usize::MAX).await, sent);
    assert!(read(0, 10).await.is_empty());
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn what_is_set_aside_is_kept_with_its_reason_and_comes_back() {
    let storage = storage(&fresh_schema()).await;
    let client = client().await;
    let outbox = storage.outbox(&client);
    let id = outbox.send("user.created", &1).await.unwrap();
    let other = outbox.send("user.created", &2).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    assert!(storage.set_outbox_aside(id, "too deep", now).await.unwrap());
    assert!(!storage.set_outbox_aside(id, "too deep", now).await.unwrap());
    let found = WebhookStorage::read_outbox(&storage, 10, 1_000)
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(|event| event.id).collect::<Vec<_>>(),
        [other]
    );
    let sql = format!(
        "SELECT reason, data::text FROM \"{}\".webhook_outbox_refused",
        storage.schema()
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        ("too deep", "1")
    );
    let later = now.after(Duration::from_secs(601));
    storage
        .sweep(&Retention::default(), 10, later)
        .await
        .unwrap();
    let found = WebhookStorage::read_outbox(&storage, 10, 1_000)
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn a_row_that_is_no_event_is_set_aside_and_the_others_are_read() {
    let storage = storage(&fresh_schema()).await;
    let client = client().await;
    let insert = format!(
        "ALTER TABLE \"{0}\".webhook_outbox DROP CONSTRAINT webhook_outbox_event_type_check; \
         INSERT INTO \"{0}\".webhook_outbox (id, event_type, data, priority, created_at, due_at) \
         VALUES ('00000000-0000-0000-0000-000000000001', '..', '1', 1, now(), now())",
        storage.schema()
    );
    client.batch_execute(&insert).await.unwrap();
    let id = storage
        .outbox(&client)
        .send("user.created", &1)
        .await
        .unwrap();
    let found = WebhookStorage::read_outbox(&storage, 10, 1_000)
        .await
        .unwrap();
    assert_eq!(found.iter().map(|event| event.id).collect::<Vec<_>>(), [id]);
    assert!(storage.beat(None, None).await.unwrap().outbox);
    let left = format!(
        "SELECT id FROM \"{}\".webhook_outbox_refused",
        storage.schema()
    );
    assert_eq!(client.query(&left, &[]).await.unwrap().len(), 1);
    drop_schema(storage.schema()).await;
}

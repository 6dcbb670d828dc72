//! An event that is sent inside a transaction exists if and only if that commits.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::time::Duration;

use support::events::{endpoint, event};
use support::{client, drop_schema, fresh_schema, pool, storage};
use tokio_postgres::Client;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Enqueued, NewEvent, OutboxEvent};
use webhooks_core::{Priority, WebhookError};
use webhooks_storage_postgres::PostgresStorage;

/// What a node makes of an event of the outbox.
fn matched(found: &OutboxEvent, endpoint: &str) -> NewEvent {
    let mut new = event(endpoint, &found.data, found.created_at);
    let mut with_id = (*new.event).clone();
    with_id.id = found.id;
    new.event = with_id.into();
    new
}

async fn client_in(storage: &PostgresStorage) -> Client {
    let client = client().await;
    let path = format!("SET search_path = \"{}\"", storage.schema());
    client.batch_execute(&path).await.unwrap();
    client
}

#[tokio::test]
async fn only_what_commits_is_sent() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client_in(&storage).await;
    let transaction = client.transaction().await.unwrap();
    let outbox = storage.outbox(&transaction);
    let id = outbox.send("user.created", &"never").await.unwrap();
    assert!(id.to_string().starts_with("webhook_"));
    transaction.rollback().await.unwrap();
    assert!(
        WebhookStorage::read_outbox(&storage, 10, usize::MAX)
            .await
            .unwrap()
            .is_empty()
    );

    let transaction = client.transaction().await.unwrap();
    let id = storage
        .outbox(&transaction)
        .webhook("user.created")
        .tenant("org_1")
        .priority(Priority::High)
        .delay(Duration::from_secs(5))
        .idempotency_key("k")
        .max_retries(2)
        .send(&serde_json::json!({"b": 1, "a": 2}))
        .await
        .unwrap();
    assert!(
        WebhookStorage::read_outbox(&storage, 10, usize::MAX)
            .await
            .unwrap()
            .is_empty()
    );
    transaction.commit().await.unwrap();
    let found = WebhookStorage::read_outbox(&storage, 10, usize::MAX)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, id);
    assert_eq!(found[0].tenant.as_deref(), Some("org_1"));
    assert_eq!(found[0].idempotency_key.as_deref(), Some("k"));
    assert_eq!(
        (found[0].priority, found[0].max_retries),
        (Priority::High, Some(2))
    );
    assert_eq!(
        found[0].due_at.since(found[0].created_at),
        Duration::from_secs(5)
    );
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn a_transaction_of_the_pool_sends_too() {
    let storage = storage(&fresh_schema()).await;
    let mut connection = pool(1).get().await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    let outbox = storage.outbox(&*transaction);
    outbox.send("user.created", &1).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        WebhookStorage::read_outbox(&storage, 10, usize::MAX)
            .await
            .unwrap()
            .len(),
        1
    );
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn any_driver_sends_with_the_sql_function() {
    let storage = storage(&fresh_schema()).await;
    let client = client_in(&storage).await;
    let data = "{\"b\" : 1e400,\t\"a\":\"\u{1f600}\\u0000\", \"a\": 1.10}";
    let sql = format!("SELECT webhook_send('order.line-item.v2_x', '{data}', delay => '1 minute')");
    let rows = client.simple_query(&sql).await.unwrap();
    assert!(rows.len() > 1);
    let found = WebhookStorage::read_outbox(&storage, 10, usize::MAX)
        .await
        .unwrap();
    assert_eq!(found[0].data, data.as_bytes(), "to the byte");
    assert_eq!(&*found[0].event_type, "order.line-item.v2_x");
    assert_eq!(found[0].due_at.since(found[0].created_at).as_secs(), 60);
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn the_sql_function_refuses_what_could_not_be_delivered() {
    let storage = storage(&fresh_schema()).await;
    let client = client_in(&storage).await;
    for (call, says) in [
        ("webhook_send('', '{}')", "event type"),
        ("webhook_send('a..b', '{}')", "event type"),
        ("webhook_send('a b', '{}')", "event type"),
        ("webhook_send(repeat('a', 257), '{}')", "event type"),
        ("webhook_send(NULL, '{}')", "event type"),
        ("webhook_send('webhook.batch', '{}')", "event type"),
        ("webhook_send('a', NULL)", "data is null"),
        ("webhook_send('a', '{')", "json"),
        (
            "webhook_send('a', to_json(repeat('x', 262144)))",
            "at most 262144",
        ),
        ("webhook_send('a', '{}', priority => 'urgent')", "priority"),
        ("webhook_send('a', '{}', delay => '-1 s')", "delay"),
        (
            "webhook_send('a', '{}', tenant => '')",
            "tenant has 0 bytes",
        ),
    ] {
        let error = client.simple_query(&format!("SELECT {call}")).await;
        let error = error.unwrap_err();
        let text = error.as_db_error().unwrap().message();
        assert!(text.contains(says), "{call}: {text}");
    }
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn a_refused_event_does_not_spoil_the_transaction() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client_in(&storage).await;
    let transaction = client.transaction().await.unwrap();
    let outbox = storage.outbox(&transaction);
    let long = "x".repeat(300_000);
    for error in [
        outbox.send("a b", &1).await.unwrap_err(),
        outbox.send("webhook.ping", &1).await.unwrap_err(),
        outbox.send("a", &long).await.unwrap_err(),
        outbox.webhook("a").tenant("").send(&1).await.unwrap_err(),
        outbox
            .webhook("a")
            .delay(Duration::MAX)
            .send(&1)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, WebhookError::InvalidEvent(_)), "{error}");
        assert!(!error.to_string().contains("xxx"));
    }
    outbox.send("a", &1).await.unwrap();
    transaction.commit().await.unwrap();
    drop_schema(storage.schema()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_taken_by_one_node() {
    let schema = fresh_schema();
    let first = storage(&schema).await;
    first.save_endpoint(&endpoint("a")).await.unwrap();
    let client = client_in(&first).await;
    let sql = "SELECT webhook_send('user.created', to_json(n)) FROM generate_series(1, 200) n";
    client.query(sql, &[]).await.unwrap();
    let now = first.beat(None, None).await.unwrap().now;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        let node = storage(&schema).await;
        nodes.push(tokio::spawn(async move {
            let mut stored = 0;
            loop {
                let found = WebhookStorage::read_outbox(&node, 50, usize::MAX)
                    .await
                    .unwrap();
                if found.is_empty() {
                    return stored;
                }
                let events: Vec<_> = found.iter().map(|e| matched(e, "a")).collect();
                let answers = node.enqueue_outbox(&events, None, now).await.unwrap();
                assert_eq!(answers.answers.len(), events.len());
                stored += answers.answers.iter().flatten().count();
            }
        }));
    }
    let mut stored = 0;
    for node in nodes {
        stored += node.await.unwrap();
    }
    assert_eq!(stored, 200);
    assert_eq!(first.counts(None).await.unwrap().ready, 200);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn an_event_that_nobody_wants_leaves_the_outbox() {
    let storage = storage(&fresh_schema()).await;
    let client = client_in(&storage).await;
    client
        .simple_query("SELECT webhook_send('a', '1')")
        .await
        .unwrap();
    let found = WebhookStorage::read_outbox(&storage, 10, usize::MAX)
        .await
        .unwrap();
    let mut new = matched(&found[0], "a");
    new.deliveries.clear();
    let answers = storage
        .enqueue_outbox(&[new], None, found[0].created_at)
        .await;
    assert_eq!(answers.unwrap().answers, [Some(Enqueued::NoEndpoint)]);
    assert!(
        WebhookStorage::read_outbox(&storage, 10, usize::MAX)
            .await
            .unwrap()
            .is_empty()
    );
    drop_schema(storage.schema()).await;
}

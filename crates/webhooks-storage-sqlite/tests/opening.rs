//! What is opened, what is refused, and what is there after a reopening.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::events::{claim, delivered, endpoint, event};
use support::{client, fresh_path, remove};
use webhooks_core::storage::{DeliveryQuery, WebhookStorage};
use webhooks_core::{WebhookError, WorkerId};
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::test]
async fn what_was_stored_is_there_after_a_reopening() {
    let path = fresh_path();
    let worker = WorkerId::named("w");
    let storage = SqliteStorage::open(&path).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let events = [event("a", b"{\"n\":1}", now), event("a", b"{\"n\":2}", now)];
    storage.enqueue(&events, None, now).await.unwrap();
    let claimed = storage
        .claim(&claim(&worker, 1, now))
        .await
        .unwrap()
        .deliveries;
    drop(storage);

    let storage = SqliteStorage::open(&path).await.unwrap();
    let counts = storage.counts(None).await.unwrap();
    assert_eq!((counts.ready, counts.leased), (1, 1));
    let settled = storage
        .settle(&worker, &[delivered(&claimed[0])], now)
        .await
        .unwrap();
    assert_eq!(settled, [webhooks_core::storage::spi::Settled::Applied]);
    let page = storage.deliveries(&DeliveryQuery::default()).await.unwrap();
    let mut payloads: Vec<_> = page
        .items
        .iter()
        .map(|record| record.delivery.event.payload.clone())
        .collect();
    payloads.sort_unstable();
    assert_eq!(payloads, ["{\"n\":1}", "{\"n\":2}"]);
    remove(&path);
}

#[tokio::test]
async fn all_files_are_for_their_owner_alone() {
    let path = fresh_path();
    let storage = SqliteStorage::open(&path).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(
        files.len(),
        4,
        "the file, its log, their memory, and the turns"
    );
    for file in files {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
    remove(&path);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let path = fresh_path();
    let text = "this is a text, and by far not a database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStorage::open(&path).await.unwrap_err();
    assert!(matches!(error, WebhookError::StorageError(_)), "{error}");
    assert!(!error.is_transient());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    remove(&path);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let error = SqliteStorage::open("/nowhere/at/all.db").await.unwrap_err();
    assert!(!error.outcome_unknown(), "{error}");
}

#[tokio::test]
async fn a_schema_of_later_code_is_refused() {
    let path = fresh_path();
    drop(SqliteStorage::open(&path).await.unwrap());
    client(&path)
        .execute("INSERT INTO webhook_migrations VALUES (7, 5, 0)", [])
        .unwrap();
    let error = SqliteStorage::open(&path).await.unwrap_err();
    assert!(matches!(error, WebhookError::InvalidConfig(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("version 7, which needs code of version 5"),
        "{error}"
    );
    // One that this code may still use.
    client(&path)
        .execute("UPDATE webhook_migrations SET compatible_from = 1", [])
        .unwrap();
    SqliteStorage::open(&path).await.unwrap();
    remove(&path);
}

#[tokio::test]
async fn tables_of_the_user_are_left_alone() {
    let path = fresh_path();
    client(&path)
        .execute_batch("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (7)")
        .unwrap();
    let storage = SqliteStorage::open(&path).await.unwrap();
    let mut client = client(&path);
    let transaction = client.transaction().unwrap();
    transaction
        .execute("INSERT INTO orders VALUES (8)", [])
        .unwrap();
    storage
        .outbox(&transaction)
        .send("order.placed", &8)
        .unwrap();
    transaction.commit().unwrap();
    let orders: i64 = client
        .query_row("SELECT count(*) FROM orders", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        (orders, storage.read_outbox(9, 99).await.unwrap().len()),
        (2, 1)
    );
    remove(&path);
}

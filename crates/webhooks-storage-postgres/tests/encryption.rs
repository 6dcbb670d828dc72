//! Credentials of endpoints in the tables: encrypted, unreadable, and encrypted anew.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::events::{claim, delivered, event};
use support::{builder, client, drop_schema, fresh_schema};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::{PreviousSecret, Timestamp, WebhookEndpoint, WebhookError, WorkerId};
use webhooks_storage_postgres::{EncryptionKeys, PostgresStorage};

/// In every credential.
const MARK: &str = "hunter2";

fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: "https://example.com".into(),
        secret: format!("{MARK}-current"),
        events: vec!["*".into()],
        headers: [("authorization".into(), format!("Bearer {MARK}"))].into(),
        previous_secrets: vec![PreviousSecret {
            secret: format!("{MARK}-old"),
            expires_at: Timestamp::from_secs(9_999_999_999),
        }],
        ..WebhookEndpoint::default()
    }
}

fn old() -> EncryptionKeys {
    EncryptionKeys::new("old", &[1; 32]).unwrap()
}

fn both() -> EncryptionKeys {
    let new = EncryptionKeys::new("new", &[2; 32]).unwrap();
    new.with_older("old", &[1; 32]).unwrap()
}

async fn storage(schema: &str, keys: EncryptionKeys) -> PostgresStorage {
    let storage = builder(schema).encryption_keys(keys).connect().await;
    storage.unwrap()
}

/// Every row of every table of the schema, as text.
async fn everything(schema: &str) -> String {
    let client = client().await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1";
    let mut all = String::new();
    for table in client.query(tables, &[&schema]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("SELECT t::text FROM \"{schema}\".\"{table}\" t");
        for row in client.query(&sql, &[]).await.unwrap() {
            all.push_str(row.get(0));
            all.push('\n');
        }
    }
    all
}

async fn revision(storage: &PostgresStorage) -> u64 {
    storage.beat(None, None).await.unwrap().revision
}

#[tokio::test]
async fn no_table_holds_a_credential() {
    let schema = fresh_schema();
    let storage = storage(&schema, old()).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    let sent = storage.enqueue(&[event("a", b"{}", now)], None, now).await;
    sent.unwrap();
    let worker = WorkerId::named("worker_a");
    let claimed = storage.claim(&claim(&worker, 1, now)).await.unwrap();
    let settled = [delivered(&claimed.deliveries[0])];
    storage.settle(&worker, &settled, now).await.unwrap();

    let all = everything(&schema).await;
    assert!(all.contains("enc1:old:") && all.contains("authorization"));
    assert!(!all.contains(MARK), "{all}");
    assert!(storage.get_endpoint("a").await.unwrap() == Some(endpoint("a")));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn an_endpoint_that_no_key_opens_is_named_and_the_others_are_read() {
    let schema = fresh_schema();
    let storage = storage(&schema, old()).await;
    for id in ["a", "b", "c"] {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
    }
    // Somebody who can write the table gives his endpoint the secret of another one.
    let moved = format!(
        "UPDATE \"{schema}\".webhook_endpoints SET secret =
         (SELECT secret FROM \"{schema}\".webhook_endpoints WHERE id = 'a') WHERE id = 'b'"
    );
    client().await.batch_execute(&moved).await.unwrap();

    let error = storage.get_endpoint("b").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("secret of endpoint \"b\" does not open with key \"old\""));
    assert!(!error.is_transient());
    let records = storage.endpoints_since(0, 10).await.unwrap().records;
    for record in &records {
        let is_b = record.endpoint.id == "b";
        assert_eq!(record.unreadable.is_some(), is_b);
        assert_eq!(record.is_open(), !is_b);
        assert!(record.takes_events(), "its deliveries wait");
        assert_eq!(record.endpoint.secret.is_empty(), is_b);
    }
    assert_eq!(records.len(), 3);
    let newer = self::storage(&schema, both()).await;
    let done = newer.reencrypt().await.unwrap();
    assert_eq!((done.endpoints, done.unreadable), (2, vec!["b".to_owned()]));

    newer.save_endpoint(&endpoint("b")).await.unwrap();
    assert!(newer.get_endpoint("b").await.unwrap() == Some(endpoint("b")));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn keys_that_open_nothing_are_refused_by_the_id_of_the_missing_one() {
    let schema = fresh_schema();
    storage(&schema, old())
        .await
        .save_endpoint(&endpoint("a"))
        .await
        .unwrap();
    let other = EncryptionKeys::new("new", &[2; 32]).unwrap();
    let wrong = EncryptionKeys::new("old", &[3; 32]).unwrap();
    for (keys, problem) in [
        (EncryptionKeys::none(), "key \"old\", which is not among"),
        (other, "key \"old\", which is not among those given"),
        (wrong, "does not open with key \"old\": the key is another"),
    ] {
        let refused = builder(&schema).encryption_keys(keys).connect().await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(problem) && !error.contains(MARK), "{error}");
    }
    drop_schema(&schema).await;
}

#[tokio::test]
async fn everything_is_encrypted_anew_and_nobody_sees_a_change() {
    let schema = fresh_schema();
    let plain = storage(&schema, EncryptionKeys::none()).await;
    let ids: Vec<String> = (0..250).map(|n| format!("e_{n}")).collect();
    for id in &ids {
        plain.save_endpoint(&endpoint(id)).await.unwrap();
    }
    assert!(everything(&schema).await.contains(MARK));
    let before = revision(&plain).await;
    let refused = plain.reencrypt().await.unwrap_err();
    assert!(
        matches!(refused, WebhookError::InvalidConfig(_)),
        "{refused}"
    );

    let first = storage(&schema, old()).await;
    assert_eq!(first.reencrypt().await.unwrap().endpoints, 250);
    assert!(!everything(&schema).await.contains(MARK));
    let second = storage(&schema, both()).await;
    assert_eq!(second.reencrypt().await.unwrap().endpoints, 250);
    assert_eq!(second.reencrypt().await.unwrap().endpoints, 0);
    assert!(!everything(&schema).await.contains("enc1:old:"));

    assert_eq!(revision(&second).await, before);
    for id in &ids {
        assert!(second.get_endpoint(id).await.unwrap() == Some(endpoint(id)));
    }
    let unreadable = first.reencrypt().await.unwrap().unreadable;
    assert_eq!(unreadable.len(), 250, "the new key is not given there");
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_beside_a_new_encryption_is_never_lost() {
    let schema = fresh_schema();
    let saver = storage(&schema, old()).await;
    saver.save_endpoint(&endpoint("a")).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let saving = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut last = endpoint("a");
            for n in 0_u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                last.secret = format!("{MARK}-{n}");
                saver.save_endpoint(&last).await.unwrap();
            }
            last
        }
    });
    let storage = storage(&schema, both()).await;
    for _ in 0..50 {
        // Somebody who never stops saving may keep it from ending, and it says so.
        if let Err(error) = storage.reencrypt().await {
            assert!(error.is_transient(), "{error}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let last = saving.await.unwrap();
    storage.reencrypt().await.unwrap();
    assert!(storage.get_endpoint("a").await.unwrap() == Some(last));
    assert!(!everything(&schema).await.contains("enc1:old:"));
    drop_schema(&schema).await;
}

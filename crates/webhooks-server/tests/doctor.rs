//! What an operator is told of the system as a whole, and does to it.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::sqlite::rusqlite::Connection;
use better_auth_webhooks::storage::{EncryptionKeys, Reencrypted, SqliteStorage};
use better_auth_webhooks::{NetworkPolicy, RetryStrategy, WebhookError, WebhookSystem};
use serde_json::{Value, json};
use support::{Caller, File, over, over_with, receiver, start};
use webhooks_server::Maintenance;
use webhooks_tests::Receiver;

/// The checks that were made, by name.
async fn checks(caller: &Caller) -> Vec<Value> {
    let found = caller.get("/api/v1/doctor").await;
    assert_eq!(found.status, 200, "{}", found.text);
    let checks = found.json()["checks"].as_array().unwrap().clone();
    for check in &checks {
        // What is wrong has a way out.
        assert_eq!(check["level"] == "ok", check["fix"].is_null(), "{check}");
    }
    checks
}

fn named<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[tokio::test]
async fn what_is_well_is_told_to_be_and_what_is_not_with_a_way_out() {
    let (server, receiver) = (start().await, Receiver::responding(410).await);
    let root = server.root();
    // A worker is seen with its first beat.
    for tries in 0.. {
        if named(&checks(&root).await, "workers")["level"] == "ok" {
            break;
        }
        assert!(tries < 500, "no worker is ever seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let well = checks(&root).await;
    assert_eq!(well.len(), 10);
    assert!(well.iter().all(|check| check["level"] == "ok"), "{well:?}");

    let at = server
        .system
        .now()
        .unwrap()
        .after(Duration::from_secs(86_400));
    let key = json!({ "name": "k", "scopes": [], "expires_at": at.to_string() });
    let key = root.post("/api/v1/api-keys", &key).await.json();
    root.endpoint("gone", &receiver.url(), None).await;
    let sent = root.post("/api/v1/events", &json!({ "type": "a.b" })).await;
    let delivery = sent.json()["deliveries"][0].as_str().unwrap().to_owned();
    root.wait_for(&delivery, "dead").await;
    let ill = checks(&root).await;
    for (name, what) in [
        ("dead_letters", "1 deliveries"),
        ("endpoints", "disabled: 1 (gone); over http: 1 (gone)"),
        ("keys", key["id"].as_str().unwrap()),
    ] {
        let check = named(&ill, name);
        assert_eq!(check["level"], "warn", "{check}");
        assert!(check["detail"].as_str().unwrap().contains(what), "{check}");
    }
}

#[tokio::test]
async fn a_storage_that_fails_is_told_and_nothing_else_is_asked_of_it() {
    let file = File::new("ill");
    let storage = SqliteStorage::open(&file.0).await.unwrap();
    let server = over(WebhookSystem::builder().workers(0).build(storage)).await;
    let idle = checks(&server.root()).await;
    assert_eq!(named(&idle, "workers")["level"], "warn");
    let other = Connection::open(&file.0).unwrap();
    other
        .execute_batch("ALTER TABLE webhook_queue RENAME TO elsewhere")
        .unwrap();
    let found = checks(&server.root()).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["name"], &found[0]["level"]),
        (&json!("storage"), &json!("error"))
    );
    // What the driver said is for the log.
    assert!(
        !found[0]["detail"]
            .as_str()
            .unwrap()
            .contains("webhook_queue")
    );
}

/// A file whose credentials are encrypted.
#[derive(Debug)]
struct OfFile(Arc<SqliteStorage>);

#[async_trait::async_trait]
impl Maintenance for OfFile {
    fn durability_warnings(&self) -> Vec<String> {
        vec!["the file is on a disk of memory".into()]
    }

    async fn schema_version(&self) -> Result<Option<(u32, u32)>, WebhookError> {
        Ok(Some((2, 3)))
    }

    async fn reencrypt(&self) -> Result<Option<Reencrypted>, WebhookError> {
        self.0.reencrypt().await.map(Some)
    }
}

/// A server over an encrypted file.
async fn encrypted(file: &File, keys: EncryptionKeys) -> support::Running {
    let storage = SqliteStorage::builder(&file.0).encryption_keys(keys);
    let storage = Arc::new(storage.open().await.unwrap());
    let builder = WebhookSystem::builder().network_policy(NetworkPolicy::permissive());
    let retries = RetryStrategy::default();
    let system = builder.retry_strategy(retries).workers(0);
    let system = system.build(storage.clone());
    over_with(system, |server| server.maintenance(OfFile(storage))).await
}

#[tokio::test]
async fn credentials_are_moved_to_a_new_key_and_what_no_key_reads_is_named() {
    let (file, receiver) = (File::new("encrypted"), receiver().await);
    let old = EncryptionKeys::new("old", &[1; 32]).unwrap();
    let new = EncryptionKeys::new("new", &[2; 32]).unwrap();
    let both = new.clone().with_older("old", &[1; 32]).unwrap();
    // Two processes that were given different keys.
    let (first, lost) = (
        encrypted(&file, old).await,
        encrypted(&file, new.clone()).await,
    );
    first.root().endpoint("ep", &receiver.url(), None).await;
    let found = checks(&lost.root()).await;
    let encryption = named(&found, "encryption");
    assert_eq!(encryption["level"], "error", "{encryption}");
    assert!(encryption["detail"].as_str().unwrap().contains("ep"));
    assert_eq!(named(&found, "durability")["level"], "warn");
    assert_eq!(named(&found, "schema")["level"], "warn");
    let left = lost.root().post("/api/v1/reencrypt", &json!({})).await;
    assert_eq!(left.json(), json!({ "endpoints": 0, "unreadable": ["ep"] }));

    let moving = encrypted(&file, both).await;
    let moved = moving.root().post("/api/v1/reencrypt", &json!({})).await;
    assert_eq!(moved.json(), json!({ "endpoints": 1, "unreadable": [] }));
    let audit = moving.root().get("/api/v1/audit").await.json();
    assert_eq!(audit["items"][0]["action"], "reencrypt");
    let read = encrypted(&file, new).await;
    let found = checks(&read.root()).await;
    assert_eq!(named(&found, "encryption")["level"], "ok");
    // Where nothing is encrypted there is nothing to do.
    let plain = start()
        .await
        .root()
        .post("/api/v1/reencrypt", &json!({}))
        .await;
    plain.is_problem(422, "invalid-config");
}

//! Credentials of endpoints in the keys: encrypted, unreadable, and encrypted anew.
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
use std::sync::atomic::{AtomicBool, Ordering};

use fred::interfaces::{HashesInterface, LuaInterface};
use fred::prelude::*;
use fred::types::scan::Scanner;
use futures_util::StreamExt;
use support::work::{claim, event, settlement};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{PreviousSecret, Timestamp, WebhookEndpoint, WebhookError, WorkerId};
use webhooks_storage_redis::{EncryptionKeys, RedisStorage};

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

async fn connect(prefix: &str, keys: EncryptionKeys) -> Result<RedisStorage, WebhookError> {
    let builder = RedisStorage::builder(support::pool(&support::url()));
    let builder = builder.key_prefix(prefix).partitions(3);
    builder.encryption_keys(keys).connect().await
}

async fn storage(prefix: &str, keys: EncryptionKeys) -> RedisStorage {
    connect(prefix, keys).await.unwrap()
}

async fn drop_keys(prefix: &str) {
    support::drop_keys(&support::url(), prefix).await;
}

/// Reads a key of any type. What `DUMP` gives is compressed.
const READ: &str = "
    local k, kind = KEYS[1], redis.call('TYPE', KEYS[1]).ok
    local read = { hash = { 'HGETALL', k }, zset = { 'ZRANGE', k, 0, -1 },
      set = { 'SMEMBERS', k }, list = { 'LRANGE', k, 0, -1 }, string = { 'GET', k },
      stream = { 'XRANGE', k, '-', '+' } }
    return k .. cjson.encode(redis.call(unpack(read[kind])))";

/// Everything under the prefix, as text.
async fn everything(prefix: &str) -> String {
    let client = support::client(&support::url()).await;
    let mut all = String::new();
    let mut pages = client.scan(format!("{{{prefix}:*"), Some(1_000), None);
    while let Some(page) = pages.next().await {
        let mut page = page.unwrap();
        for key in page.take_results().unwrap_or_default() {
            let read: String = client.eval(READ, key, ()).await.unwrap();
            all.push_str(&read);
        }
        page.next();
    }
    client.quit().await.unwrap();
    all
}

async fn revision(storage: &RedisStorage) -> u64 {
    storage.beat(None, None).await.unwrap().revision
}

#[tokio::test]
async fn no_key_holds_a_credential() {
    let prefix = support::prefix();
    let storage = storage(&prefix, old()).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    let sent = storage.enqueue(&[event(&["a"], now)], None, now).await;
    sent.unwrap();
    let worker = WorkerId::named("worker_a");
    let claimed = storage.claim(&claim(&worker, now, 1)).await.unwrap();
    let settled = [settlement(&claimed.deliveries[0], SettleAs::Delivered)];
    storage.settle(&worker, &settled, now).await.unwrap();

    let all = everything(&prefix).await;
    assert!(all.contains("enc1:old:") && all.contains("authorization"));
    assert!(!all.contains(MARK), "{all}");
    assert!(storage.get_endpoint("a").await.unwrap() == Some(endpoint("a")));
    drop_keys(&prefix).await;
}

#[tokio::test]
async fn an_endpoint_that_no_key_opens_is_named_and_the_others_are_read() {
    let prefix = support::prefix();
    let storage = storage(&prefix, old()).await;
    for id in ["a", "b", "c"] {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
    }
    // Somebody who can write to the server gives his endpoint the secret of another one.
    let client = support::client(&support::url()).await;
    let at = async |id: &str| {
        let mut pages = client.scan(format!("{{{prefix}:*:endpoint:{id}"), Some(1_000), None);
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let mut page = page.unwrap();
            found.extend(page.take_results().unwrap_or_default());
            page.next();
        }
        found.pop().unwrap()
    };
    let (a, b) = (at("a").await, at("b").await);
    let stolen: String = client.hget(a, "definition").await.unwrap();
    let stolen = stolen.replace("\"id\":\"a\"", "\"id\":\"b\"");
    let _: i64 = client.hset(b, ("definition", stolen)).await.unwrap();

    let error = storage.get_endpoint("b").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("of endpoint \"b\" does not open with key \"old\""));
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
    let newer = self::storage(&prefix, both()).await;
    let done = newer.reencrypt().await.unwrap();
    assert_eq!((done.endpoints, done.unreadable), (2, vec!["b".to_owned()]));

    newer.save_endpoint(&endpoint("b")).await.unwrap();
    assert!(newer.get_endpoint("b").await.unwrap() == Some(endpoint("b")));
    drop_keys(&prefix).await;
}

#[tokio::test]
async fn keys_that_open_nothing_are_refused_by_the_id_of_the_missing_one() {
    let prefix = support::prefix();
    storage(&prefix, old())
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
        let refused = connect(&prefix, keys).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(problem) && !error.contains(MARK), "{error}");
    }
    drop_keys(&prefix).await;
}

#[tokio::test]
async fn everything_is_encrypted_anew_and_nobody_sees_a_change() {
    let prefix = support::prefix();
    let plain = storage(&prefix, EncryptionKeys::none()).await;
    let ids: Vec<String> = (0..250).map(|n| format!("e_{n}")).collect();
    for id in &ids {
        plain.save_endpoint(&endpoint(id)).await.unwrap();
    }
    assert!(everything(&prefix).await.contains(MARK));
    let before = revision(&plain).await;
    let refused = plain.reencrypt().await.unwrap_err();
    assert!(
        matches!(refused, WebhookError::InvalidConfig(_)),
        "{refused}"
    );

    let first = storage(&prefix, old()).await;
    assert_eq!(first.reencrypt().await.unwrap().endpoints, 250);
    assert!(!everything(&prefix).await.contains(MARK));
    let second = storage(&prefix, both()).await;
    assert_eq!(second.reencrypt().await.unwrap().endpoints, 250);
    assert_eq!(second.reencrypt().await.unwrap().endpoints, 0);
    assert!(!everything(&prefix).await.contains("enc1:old:"));

    assert_eq!(revision(&second).await, before);
    for id in &ids {
        assert!(second.get_endpoint(id).await.unwrap() == Some(endpoint(id)));
    }
    let unreadable = first.reencrypt().await.unwrap().unreadable;
    assert_eq!(unreadable.len(), 250, "the new key is not given there");
    drop_keys(&prefix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_beside_a_new_encryption_is_never_lost() {
    let prefix = support::prefix();
    let saver = storage(&prefix, old()).await;
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
    let storage = storage(&prefix, both()).await;
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
    assert!(!everything(&prefix).await.contains("enc1:old:"));
    drop_keys(&prefix).await;
}

//! No script keeps the server from others for long, however much there is to do.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::prelude::{Client, Value};
use fred::types::CustomCommand;
use support::server::Server;
use support::work::{claim, endpoint, event, further, now, settlement};
use webhooks_core::storage::spi::{DeliveredEvent, EndpointGate, GateChange, NewEvent, SettleAs};
use webhooks_core::storage::{
    Change, Deleted, DeliveryQuery, EventQuery, Expected, GroupBy, Retention, WebhookStorage,
};
use webhooks_core::{Timestamp, WorkerId};
use webhooks_storage_redis::RedisStorage;

/// Far from the seconds of unbounded work, and from what a busy machine adds to some milliseconds.
const LONGEST: Duration = Duration::from_secs(1);

/// The longest call since the last time.
async fn longest(redis: &Client, what: &str) {
    let slowlog = CustomCommand::new_static("SLOWLOG", None, false);
    let log: Value = redis
        .custom(slowlog.clone(), vec!["GET", "-1"])
        .await
        .unwrap();
    let calls = log.into_array().into_iter();
    let micros = calls.filter_map(|call| call.into_array().get(2)?.as_u64());
    let longest = Duration::from_micros(micros.max().unwrap_or(0));
    assert!(longest < LONGEST, "{what}: {longest:?}");
    let _reset: Value = redis.custom(slowlog, vec!["RESET"]).await.unwrap();
}

/// A server that notes every call, and a storage on it with a thousand endpoints.
async fn storage() -> (Server, Client, RedisStorage, Vec<String>) {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let redis = support::client(&server.url()).await;
    let ids: Vec<String> = (0..1_000).map(|n| format!("e{n}")).collect();
    for id in &ids {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
    }
    longest(&redis, "saving").await;
    (server, redis, storage, ids)
}

/// Stores twelve events for each of these endpoints, due at this time.
async fn fill(storage: &RedisStorage, ids: &[String], now: Timestamp, due_at: Timestamp) {
    for _ in 0..12 {
        for some in ids.chunks(250) {
            let some: Vec<_> = some.iter().map(String::as_str).collect();
            let mut new = event(&some, now);
            new.due_at = due_at;
            storage.enqueue(&[new], None, now).await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_script_of_delivering_takes_long() {
    let (_server, redis, storage, ids) = storage().await;
    let start = now(&storage).await;
    let later = start.after(Duration::from_secs(60));
    fill(&storage, &ids, start, start).await;
    fill(&storage, &ids, start, later).await;
    longest(&redis, "storing").await;
    let worker = WorkerId::named("w");
    let taken = claim(&worker, start, 256);
    let held = storage.claim(&taken).await.unwrap().deliveries;
    assert!(held.len() >= 256);
    longest(&redis, "claiming").await;
    let at = start.after(Duration::from_secs(1));
    let retries = held.iter().map(|d| settlement(d, SettleAs::Retry { at }));
    let retries: Vec<_> = retries.collect();
    storage.settle(&worker, &retries, start).await.unwrap();
    longest(&redis, "settling").await;
    for n in 0..100 {
        let at = later.after(Duration::from_millis(n));
        storage.claim(&claim(&worker, at, 1)).await.unwrap();
    }
    longest(&redis, "what becomes due").await;
    assert_eq!(storage.counts(None).await.unwrap().scheduled, 0);
    let gates = ids.iter().map(|id| EndpointGate {
        endpoint_id: id.as_str().into(),
        epoch: None,
        change: GateChange::Pause,
    });
    let gates: Vec<_> = gates.collect();
    storage.set_gates(&gates, later).await.unwrap();
    longest(&redis, "gates").await;
    storage.endpoints_since(0, 1_000).await.unwrap();
    longest(&redis, "reading endpoints").await;
}

#[tokio::test]
async fn no_script_of_changes_and_sweeps_takes_long() {
    let (_server, redis, storage, ids) = storage().await;
    let start = now(&storage).await;
    fill(&storage, &ids, start, start).await;
    let query = DeliveryQuery {
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    storage.deliveries(&query).await.unwrap();
    longest(&redis, "listing").await;
    for to in [Change::Erase, Change::Cancel, Change::Purge] {
        let changed = storage.change(&query, to, 3_000, start).await.unwrap();
        assert_eq!(changed.changed, 3_000);
        longest(&redis, &format!("{to:?}")).await;
    }
    deleting(&storage, start).await;
    longest(&redis, "deleting").await;
    let mut retention = Retention {
        waiting: Duration::ZERO,
        ..Retention::default()
    };
    for what in ["expiring", "sweeping"] {
        let swept = storage.sweep(&retention, 2_000, start).await.unwrap();
        assert_eq!(swept.rows, 2_000);
        longest(&redis, what).await;
        (retention.dead, retention.delivered) = (Duration::ZERO, Duration::ZERO);
    }
}

#[tokio::test]
async fn no_script_of_asking_takes_long() {
    let (_server, redis, storage, ids) = storage().await;
    let start = now(&storage).await;
    fill(&storage, &ids, start, start).await;
    // One event for all of them, in parts.
    let whole = event(&[], start);
    for some in ids.chunks(250) {
        let some: Vec<_> = some.iter().map(String::as_str).collect();
        let part = NewEvent {
            deliveries: event(&some, start).deliveries,
            ..whole.clone()
        };
        storage.enqueue(&[part], None, start).await.unwrap();
    }
    longest(&redis, "storing parts").await;
    let listed = storage.events(&EventQuery::default()).await.unwrap().items;
    let mine = listed.iter().find(|item| item.event.id == whole.event.id);
    assert_eq!(mine.unwrap().deliveries.ready, 1_000);
    longest(&redis, "listing events").await;
    let all = DeliveryQuery::default();
    let by = [GroupBy::EndpointId, GroupBy::EventType];
    let groups = storage.count_by(&all, &by, 1_000_000).await.unwrap();
    assert_eq!((groups.counted, groups.capped), (13_000, false));
    longest(&redis, "counting").await;
    let endpoints: Vec<_> = ids.iter().map(|id| id.as_str().into()).collect();
    let counts = storage.counts_of(&endpoints).await.unwrap();
    assert!(counts.iter().all(|counts| counts.ready == 13));
    assert_eq!(storage.oldest_ready(start).await.unwrap(), Some(start));
    longest(&redis, "looking at endpoints").await;
    storage.save_endpoint(&endpoint("late")).await.unwrap();
    let one = further(whole.event.id, "late", start);
    let made = storage.deliver_events(&[one], start).await.unwrap();
    assert_eq!(made, [DeliveredEvent::Stored]);
    longest(&redis, "one more delivery").await;
}

/// Deletes an endpoint for which much waits.
async fn deleting(storage: &RedisStorage, at: Timestamp) {
    storage.save_endpoint(&endpoint("long")).await.unwrap();
    for _ in 0..20 {
        let events: Vec<_> = (0..250).map(|_| event(&["long"], at)).collect();
        storage.enqueue(&events, None, at).await.unwrap();
    }
    let deleted = storage.delete_endpoint("long", Expected::Any, at).await;
    assert_eq!(deleted.unwrap(), Deleted::Deleted);
}

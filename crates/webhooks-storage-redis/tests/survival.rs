//! What happens to the server while there is work loses nothing that was acknowledged.
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
use std::time::Duration;

use fred::interfaces::LuaInterface;
use fred::prelude::*;
use support::server::Server;
use support::work::{claim, endpoint, event, now, settlement};
use tokio::task::JoinHandle;
use webhooks_core::storage::spi::{NewEvent, SettleAs};
use webhooks_core::storage::{DeliveryQuery, Retention, WebhookStorage};
use webhooks_core::{DeliveryId, WebhookError, WorkerId};
use webhooks_storage_redis::{DurabilityWarning, RedisStorage};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--maxmemory-policy", "noeviction"];

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let (url, prefix) = (support::url(), support::prefix());
    let storage = support::storage(&url, &prefix, 1).await;
    let other = support::client(&url).await;
    let flush = async || other.script_flush(false).await.unwrap();
    let worker = WorkerId::named("worker_a");
    for round in 1..=2 {
        flush().await;
        let now = now(&storage).await;
        flush().await;
        storage.save_endpoint(&endpoint("a")).await.unwrap();
        flush().await;
        let sent = storage.enqueue(&[event(&["a"], now)], None, now).await;
        sent.unwrap();
        flush().await;
        let taken = storage.claim(&claim(&worker, now, 10)).await.unwrap();
        flush().await;
        let outcome = [settlement(&taken.deliveries[0], SettleAs::Delivered)];
        storage.settle(&worker, &outcome, now).await.unwrap();
        flush().await;
        assert_eq!(storage.counts(None).await.unwrap().delivered, round);
    }
    support::drop_keys(&url, &prefix).await;
}

/// Senders and workers that never stop, whatever happens to the server.
struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<DeliveryId>>>,
    workers: Vec<JoinHandle<()>>,
    storage: Arc<RedisStorage>,
}

impl Load {
    async fn start(storage: RedisStorage) -> Self {
        let storage = Arc::new(storage);
        for id in ["a", "b", "c"] {
            storage.save_endpoint(&endpoint(id)).await.unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let senders = (0..3).map(|_| tokio::spawn(send(storage.clone(), stop.clone())));
        let names = (0..2).map(|n| WorkerId::named(&format!("worker_{n}")));
        Self {
            senders: senders.collect(),
            workers: names
                .map(|name| tokio::spawn(work(storage.clone(), name)))
                .collect(),
            storage,
            stop,
        }
    }

    /// Stops sending, lets the workers finish, and looks for every acknowledged delivery.
    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        for sender in self.senders {
            acknowledged.extend(sender.await.unwrap());
        }
        assert!(
            acknowledged.len() > 100,
            "there was work: {}",
            acknowledged.len()
        );
        let done = async {
            loop {
                let counts = self.storage.counts(None).await.unwrap();
                assert_eq!(
                    counts.enqueued,
                    counts.delivered + counts.waiting(),
                    "{counts:?}"
                );
                if counts.waiting() == 0 {
                    return counts;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let counts = tokio::time::timeout(Duration::from_secs(40), done).await;
        let counts = counts.expect("nothing waits for ever");
        self.workers.iter().for_each(JoinHandle::abort);
        assert!(counts.delivered >= u64::try_from(acknowledged.len()).unwrap());
        for id in acknowledged {
            let query = DeliveryQuery::of_delivery(id);
            let found = self.storage.deliveries(&query).await.unwrap();
            assert_eq!(found.items.len(), 1, "{id} is lost");
        }
    }
}

/// Sends until it is told to stop. The deliveries that were acknowledged.
async fn send(storage: Arc<RedisStorage>, stop: Arc<AtomicBool>) -> Vec<DeliveryId> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let at = webhooks_core::Timestamp::from_secs(1_700_000_000);
        let events: Vec<_> = (0..10).map(|_| event(&["a", "b", "c"], at)).collect();
        match storage.enqueue(&events, None, at).await {
            Ok(_) => {
                let deliveries = events.iter().flat_map(|event| &event.deliveries);
                acknowledged.extend(deliveries.map(|delivery| delivery.id));
            }
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}

async fn work(storage: Arc<RedisStorage>, worker: WorkerId) {
    let mut unsettled = Vec::new();
    loop {
        match attempt(&storage, &worker, &mut unsettled).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn attempt(
    storage: &RedisStorage,
    worker: &WorkerId,
    unsettled: &mut Vec<webhooks_core::storage::spi::Settlement>,
) -> Result<(), WebhookError> {
    let now = storage.beat(Some(worker), None).await?.now;
    if unsettled.is_empty() {
        let claimed = storage.claim(&claim(worker, now, 50)).await?;
        let outcomes = claimed.deliveries.iter();
        unsettled.extend(outcomes.map(|d| settlement(d, SettleAs::Delivered)));
    }
    storage.settle(worker, unsettled, now).await?;
    unsettled.clear();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_lose_nothing() {
    let server = Server::start(&DURABLE).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let load = Load::start(storage).await;
    let other = support::client(&server.url()).await;
    // On a busy machine not all are back after a pause.
    let mut killed = 0;
    while killed < 30 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let others = vec![fred::types::client::ClientKillFilter::SkipMe(true)];
        killed += other.client_kill::<i64>(others).await.unwrap();
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
    // With `everysec` it holds its writes back while a sync is slow, and they die with it.
    let always = [&DURABLE[..], &["--appendfsync", "always"]].concat();
    let mut server = Server::start(&always).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let load = Load::start(storage).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.restart().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.end().await;
}

#[tokio::test]
async fn a_server_that_can_lose_deliveries_is_told_of() {
    let server = Server::start(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let policy = "allkeys-lru".into();
    let expected = [
        DurabilityWarning::NoAppendOnlyFile,
        DurabilityWarning::Evicts { policy },
    ];
    assert_eq!(storage.durability_warnings(), expected);
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let expected = [DurabilityWarning::NeverSynced];
    assert_eq!(storage.durability_warnings(), expected);
    let server = Server::start(&DURABLE).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    assert!(storage.durability_warnings().is_empty());
}

#[tokio::test]
async fn a_full_server_refuses_new_events_and_still_serves_the_rest() {
    let server = Server::start(&DURABLE).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let at = now(&storage).await;
    storage
        .enqueue(&[event(&["a"], at)], None, at)
        .await
        .unwrap();
    let other = support::client(&server.url()).await;
    other.config_set("maxmemory", "1mb").await.unwrap();
    let full = storage.enqueue(&[event(&["a"], at)], None, at).await;
    assert!(matches!(full, Err(WebhookError::Overloaded(_))), "{full:?}");
    assert_eq!(storage.counts(None).await.unwrap().enqueued, 1);
    other.config_set("maxmemory", "0").await.unwrap();
    storage
        .enqueue(&[event(&["a"], at)], None, at)
        .await
        .unwrap();
    assert_eq!(storage.counts(None).await.unwrap().enqueued, 2);
}

#[tokio::test]
async fn a_full_server_can_be_swept() {
    let server = Server::start(&DURABLE).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let (at, worker) = (now(&storage).await, WorkerId::named("worker_a"));
    let events: Vec<_> = (0..3).map(|_| event(&["a"], at)).collect();
    storage.enqueue(&events, None, at).await.unwrap();
    let taken = storage.claim(&claim(&worker, at, 2)).await.unwrap();
    let outcomes = taken.deliveries.iter();
    let outcomes: Vec<_> = outcomes
        .map(|delivery| settlement(delivery, SettleAs::Delivered))
        .collect();
    storage.settle(&worker, &outcomes, at).await.unwrap();
    let other = support::client(&server.url()).await;
    other.config_set("maxmemory", "1mb").await.unwrap();
    let later = at.after(Duration::from_secs(40 * 86_400));
    let retention = Retention::default();
    let swept = storage.sweep(&retention, 100, later).await.unwrap();
    assert_eq!((swept.rows, swept.more), (3, false));
}

#[tokio::test]
async fn a_scheduled_delivery_that_the_server_dropped_stops_no_other() {
    let (url, prefix) = (support::url(), support::prefix());
    let storage = support::storage(&url, &prefix, 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let at = now(&storage).await;
    let due_at = at.after(Duration::from_secs(5));
    let delayed = || NewEvent {
        due_at,
        ..event(&["a"], at)
    };
    let (dropped, kept) = (delayed(), delayed());
    let ids = [&dropped, &kept].map(|event| event.deliveries[0].id);
    storage.enqueue(&[dropped, kept], None, at).await.unwrap();
    let key = format!("{{{prefix}:0}}:delivery:{}", ids[0].as_uuid());
    let gone: i64 = support::client(&url).await.del(key).await.unwrap();
    assert_eq!(gone, 1);
    let worker = WorkerId::named("worker_a");
    let claimed = storage.claim(&claim(&worker, due_at, 10)).await.unwrap();
    let claimed: Vec<_> = claimed.deliveries.iter().map(|d| d.id).collect();
    assert_eq!(claimed, [ids[1]]);
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn an_event_that_the_server_dropped_stops_no_other() {
    let (url, prefix) = (support::url(), support::prefix());
    let storage = support::storage(&url, &prefix, 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let at = now(&storage).await;
    let (dropped, kept) = (event(&["a"], at), event(&["a"], at));
    let id = kept.deliveries[0].id;
    let key = format!("{{{prefix}:0}}:event:{}", dropped.event.id.as_uuid());
    storage.enqueue(&[dropped, kept], None, at).await.unwrap();
    let gone: i64 = support::client(&url).await.del(key).await.unwrap();
    assert_eq!(gone, 1);
    for from in [None, Some(at)] {
        let query = DeliveryQuery {
            from,
            ..DeliveryQuery::default()
        };
        let page = storage.deliveries(&query).await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|r| r.delivery.id).collect();
        assert_eq!(listed, [id], "{from:?}");
    }
    let worker = WorkerId::named("worker_a");
    for expected in [vec![id], vec![]] {
        let claimed = storage.claim(&claim(&worker, at, 10)).await.unwrap();
        let claimed: Vec<_> = claimed.deliveries.iter().map(|d| d.id).collect();
        assert_eq!(claimed, expected);
    }
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let (url, prefix) = (support::url(), support::prefix());
    support::storage(&url, &prefix, 2).await;
    let builder = RedisStorage::builder(support::pool(&url)).key_prefix(&prefix);
    let refused = builder.partitions(4).connect().await.unwrap_err();
    assert!(
        refused.to_string().contains("2 partitions, not 4"),
        "{refused}"
    );
    let builder = RedisStorage::builder(support::pool(&url)).key_prefix("a{b}");
    let refused = builder.connect().await.unwrap_err();
    assert!(matches!(refused, WebhookError::InvalidConfig(_)));
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn a_single_client_will_do() {
    let (url, prefix) = (support::url(), support::prefix());
    let client = support::builder(&url).build().unwrap();
    let storage = RedisStorage::builder(client).key_prefix(&prefix);
    let storage = storage.connect().await.unwrap();
    assert!(now(&storage).await.as_millis() > 0);
    support::drop_keys(&url, &prefix).await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_transient_error() {
    let mut server = Server::start(&DURABLE).await;
    let builder = RedisStorage::builder(support::pool(&server.url()));
    let storage = builder
        .command_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    server.kill();
    let error = storage.counts(None).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

//! What waits behind the head of an order costs nobody anything, and is found in every partition.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use fred::interfaces::ConfigInterface;
use support::server::{Server, ran};
use support::work::{claim, endpoint, now, ordered, settlement};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{DeadReason, OnDead, Timestamp, WorkerId};
use webhooks_storage_redis::RedisStorage;

/// Commands that the server runs while the head of an order is claimed and ended and one more event
/// comes.
async fn commands_of_a_head(storage: &RedisStorage, server: &Server, at: Timestamp) -> u64 {
    let worker = WorkerId::named("worker_a");
    let redis = support::client(&server.url()).await;
    let before = ran(&redis).await;
    let taken = storage.claim(&claim(&worker, at, 10)).await.unwrap();
    assert_eq!(taken.deliveries.len(), 1, "the head alone");
    let outcome = [settlement(&taken.deliveries[0], SettleAs::Delivered)];
    storage.settle(&worker, &outcome, at).await.unwrap();
    let next = ordered("a", "k", OnDead::Continue, at);
    storage.enqueue(&[next], None, at).await.unwrap();
    let after = ran(&redis).await;
    after.1 - before.1
}

#[tokio::test]
async fn a_head_costs_the_same_whatever_waits_behind_it() {
    let server = Server::start(&[]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let at = now(&storage).await;
    let some = |n| {
        let events = (0..n).map(|_| ordered("a", "k", OnDead::Continue, at));
        events.collect::<Vec<_>>()
    };
    storage.enqueue(&some(5), None, at).await.unwrap();
    // Once, so that the server knows the scripts.
    commands_of_a_head(&storage, &server, at).await;
    let few = commands_of_a_head(&storage, &server, at).await;
    for _ in 0..40 {
        storage.enqueue(&some(250), None, at).await.unwrap();
    }
    let many = commands_of_a_head(&storage, &server, at).await;
    assert_eq!(many, few);
    assert_eq!(storage.counts(None).await.unwrap().blocked, 10_004);
}

#[tokio::test]
async fn an_order_goes_on_where_the_server_is_full() {
    let server = Server::start(&[]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let (at, worker) = (now(&storage).await, WorkerId::named("worker_a"));
    let events = [OnDead::Continue; 3].map(|on_dead| ordered("a", "k", on_dead, at));
    storage.enqueue(&events, None, at).await.unwrap();
    let admin = support::client(&server.url()).await;
    admin.config_set("maxmemory", "1mb").await.unwrap();
    for event in &events {
        let taken = storage.claim(&claim(&worker, at, 10)).await.unwrap();
        let taken = taken.deliveries;
        assert_eq!((taken.len(), taken[0].id), (1, event.deliveries[0].id));
        let reason = DeadReason::AttemptsExhausted;
        let outcome = [settlement(&taken[0], SettleAs::Dead { reason })];
        storage.settle(&worker, &outcome, at).await.unwrap();
    }
}

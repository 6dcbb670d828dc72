//! What is acknowledged is on as many replicas as were asked for.
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

use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand, InfoKind};
use support::server::Server;
use support::user::{least_rights, set_user};
use support::work::{claim, endpoint, event, now, settlement};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Enqueued, SettleAs, Settled};
use webhooks_core::{Result, Timestamp, WebhookError, WorkerId};
use webhooks_storage_redis::RedisStorage;

/// A master, its only replica, and a storage that waits for it.
struct Pair {
    storage: RedisStorage,
    admin: Client,
    master: Server,
    replica: Server,
    at: Timestamp,
}

impl Pair {
    async fn start(timeout: Duration) -> Self {
        let master = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
        let port = master.port.to_string();
        let replica = Server::start(&["--replicaof", "127.0.0.1", &port]).await;
        let admin = support::client(&master.url()).await;
        told(&admin, InfoKind::Replication, "state=online").await;
        let storage = connect(&master.url(), "webhooks", timeout).await.unwrap();
        storage.save_endpoint(&endpoint("a")).await.unwrap();
        let at = now(&storage).await;
        Self {
            storage,
            admin,
            master,
            replica,
            at,
        }
    }
}

async fn connect(url: &str, prefix: &str, timeout: Duration) -> Result<RedisStorage> {
    let builder = RedisStorage::builder(support::pool(url)).key_prefix(prefix);
    builder.wait_for_replicas(1, timeout).connect().await
}

/// Waits until the server's information has this in it.
async fn told(admin: &Client, kind: InfoKind, text: &str) {
    for _ in 0..200 {
        let info: String = admin.info(Some(kind.clone())).await.unwrap();
        if info.contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server never tells {text}");
}

fn is_stored(answers: &[Enqueued]) -> bool {
    matches!(answers, [Enqueued::Stored { .. }])
}

/// The answer to a call that is sent again until the replica, which runs again, has it. On a busy
/// machine the first wait may be too short for that.
async fn acknowledged<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, WebhookError>>,
{
    for _ in 0..100 {
        match call().await {
            Err(error) if error.outcome_unknown() => {}
            answer => return answer.unwrap(),
        }
    }
    panic!("the replica never has it");
}

#[tokio::test]
async fn nothing_is_acknowledged_that_no_replica_has() {
    let pair = Pair::start(Duration::from_millis(300)).await;
    let Pair {
        storage, replica, ..
    } = &pair;
    let at = pair.at;
    let sent = [event(&["a"], at)];
    replica.signal("STOP");
    let refused = storage.enqueue(&sent, None, at).await.unwrap_err();
    assert!(refused.is_transient() && refused.outcome_unknown());
    assert!(refused.to_string().contains("Redis"), "{refused}");
    // It is there all the same, and what does not acknowledge anything does not wait.
    let worker = WorkerId::named("worker");
    let claimed = storage.claim(&claim(&worker, at, 1)).await.unwrap();
    let delivered = [settlement(&claimed.deliveries[0], SettleAs::Delivered)];
    for _ in 0..2 {
        let settled = storage.settle(&worker, &delivered, at).await;
        let settled = settled.unwrap_err();
        assert!(settled.is_transient() && settled.outcome_unknown());
        let again = storage.enqueue(&sent, None, at).await.unwrap_err();
        assert!(again.is_transient() && again.outcome_unknown());
    }
    replica.signal("CONT");
    let stored = acknowledged(|| storage.enqueue(&sent, None, at)).await;
    assert!(is_stored(&stored.answers));
    let settled = acknowledged(|| storage.settle(&worker, &delivered, at)).await;
    assert_eq!(settled, [Settled::Applied]);
}

#[tokio::test]
async fn a_wait_that_is_sent_again_on_another_connection_acknowledges_nothing() {
    let pair = Pair::start(Duration::from_secs(5)).await;
    let sent = [event(&["a"], pair.at)];
    // The scripts are known, and the connection is up.
    pair.storage.enqueue(&sent, None, pair.at).await.unwrap();
    pair.replica.signal("STOP");
    let sent = [event(&["a"], pair.at)];
    let enqueue = pair.storage.enqueue(&sent, None, pair.at);
    let cut = async {
        told(&pair.admin, InfoKind::Clients, "blocked_clients:1").await;
        let kill = CustomCommand::new_static("CLIENT", ClusterHash::Random, false);
        let all = vec!["KILL", "TYPE", "normal"];
        let killed: i64 = pair.admin.custom(kill, all).await.unwrap();
        // It has all now: how much of that the wait on the new connection is about, nobody knows.
        pair.replica.signal("CONT");
        killed
    };
    let (refused, killed) = tokio::join!(enqueue, cut);
    assert!(killed >= 2, "{killed} connections were cut");
    let refused = refused.unwrap_err();
    assert!(refused.is_transient() && refused.outcome_unknown());
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(source.contains("the connection was lost"), "{source}");
}

#[tokio::test]
async fn without_replicas_to_wait_for_nothing_waits() {
    let pair = Pair::start(Duration::from_millis(300)).await;
    let storage = support::storage(&pair.master.url(), "webhooks", 1).await;
    pair.replica.signal("STOP");
    let sent = [event(&["a"], pair.at)];
    let stored = storage.enqueue(&sent, None, pair.at).await.unwrap();
    assert!(is_stored(&stored.answers));
    let waits: Option<String> = pair.admin.get("{webhooks:0}:waits").await.unwrap();
    assert_eq!(waits, None);
    pair.replica.signal("CONT");
}

#[tokio::test]
async fn waiting_needs_a_right_and_a_time() {
    let (url, prefix) = (support::url(), support::prefix());
    let user = set_user(&url, &prefix, &least_rights(&prefix)).await;
    let second = Duration::from_secs(1);
    let refused = connect(&user, &prefix, second).await.unwrap_err();
    assert!(refused.to_string().contains(" +wait "), "{refused}");
    set_user(&url, &prefix, &["+wait"]).await;
    connect(&user, &prefix, second).await.unwrap();
    support::user::drop_user(&url, &prefix).await;
    for timeout in [Duration::ZERO, Duration::from_secs(10)] {
        let refused = connect(&url, &prefix, timeout).await.unwrap_err();
        assert!(matches!(refused, WebhookError::InvalidConfig(_)));
    }
    support::drop_keys(&url, &prefix).await;
}

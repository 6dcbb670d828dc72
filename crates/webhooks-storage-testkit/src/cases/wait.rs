//! Waking who waits for work. Only for storages that say they can; with others, workers find work
//! by polling. A wake-up for nothing is allowed, a missed one delays a delivery by a poll.

use std::time::Duration;

use webhooks_core::storage::spi::{GateChange, SettleAs};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{BatchConfig, OnDead};

use crate::bench::{Bench, endpoint};
use crate::cases::orders::keyed;

/// Longer than any wake-up takes, shorter than a patience.
const SOON: Duration = Duration::from_secs(5);

/// Waits while something is done, and then until there is something to claim.
async fn wakes(t: &Bench, what: &str, work: impl AsyncFnOnce()) {
    // A storage that does not wake is asked for by polling, and has nothing to show.
    if !t.capabilities.wakes {
        return;
    }
    let storage = t.storage.clone();
    let waiter = tokio::spawn(async move { storage.wait().await });
    // The waiter shall really wait; were it late, it would have to find what came before it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    work().await;
    let woken = tokio::time::timeout(SOON, waiter).await;
    assert!(woken.is_ok(), "{what} wakes who waits");
}

/// The usual way: something new, and a worker that sleeps.
pub(crate) async fn an_enqueue_wakes(t: &Bench) {
    t.save(&["a"]).await;
    wakes(t, "an enqueue", async || {
        t.send("a").await;
    })
    .await;
}

/// Between a claim that brought nothing and the wait that follows it, a sender may come. A storage
/// that tells only those who wait already would miss it.
pub(crate) async fn work_that_came_before_the_wait_wakes(t: &Bench) {
    if !t.capabilities.wakes {
        return;
    }
    t.save(&["a"]).await;
    // The last look, which finds nothing.
    assert!(t.take(0).await.is_empty());
    t.send("a").await;
    let woken = tokio::time::timeout(SOON, t.storage.wait()).await;
    assert!(
        woken.is_ok(),
        "what came after the last claim is not missed"
    );
}

/// Another worker gives back what it cannot send now.
pub(crate) async fn a_release_wakes(t: &Bench) {
    t.save(&["a"]).await;
    let held = t.lease_one("a").await;
    let release = t.settlement(&held, SettleAs::Release { at: t.at(0) });
    wakes(t, "a release", async || drop(t.settle(&[release]).await)).await;
}

/// An operator's replay is work as any other.
pub(crate) async fn a_replay_wakes(t: &Bench) {
    t.save(&["a"]).await;
    t.dead_one("a").await;
    wakes(t, "a replay", async || {
        let all = DeliveryQuery::default();
        let replayed = t.storage.change(&all, Change::Replay, 10, t.at(0)).await;
        assert_eq!(replayed.unwrap().changed, 1);
    })
    .await;
}

/// Nothing came, but what was there may go now.
pub(crate) async fn opening_a_gate_wakes(t: &Bench) {
    t.save(&["a"]).await;
    t.gate("a", GateChange::Pause).await;
    t.send("a").await;
    wakes(t, "resuming", async || {
        t.gate("a", GateChange::Resume).await
    })
    .await;
}

/// What fills a batch is not yet work; what makes it full is.
pub(crate) async fn a_batch_that_becomes_full_wakes(t: &Bench) {
    let mut batching = endpoint("a");
    batching.batch = Some(BatchConfig {
        max_events: 3,
        max_wait_ms: 60_000,
        max_bytes: 1 << 20,
    });
    t.storage.save_endpoint(&batching).await.unwrap();
    t.send_many("a", 2).await;
    // Two of three: nothing to claim.
    assert!(t.take(0).await.is_empty());
    if t.capabilities.wakes {
        // What the two before it have left behind.
        drop(tokio::time::timeout(Duration::from_millis(200), t.storage.wait()).await);
    }
    wakes(t, "the last of a batch", async || {
        t.send("a").await;
    })
    .await;
}

/// The end of a head is work for all: who ends it may not be the one who has room for the next.
pub(crate) async fn the_end_of_a_head_wakes(t: &Bench) {
    t.save(&["a"]).await;
    let events = [0, 1].map(|_| keyed(t, "a", "key", OnDead::Continue));
    t.enqueue(&events).await;
    let head = t.take(0).await.remove(0);
    if t.capabilities.wakes {
        // What the sending has left behind.
        drop(tokio::time::timeout(Duration::from_millis(200), t.storage.wait()).await);
    }
    let settled = t.settlement(&head, SettleAs::Delivered);
    wakes(t, "the end of a head", async || {
        drop(t.settle(&[settled]).await);
    })
    .await;
}

use std::collections::BTreeSet;
use std::sync::Arc;

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Deleted, Expected, WebhookStorage};
use webhooks_core::{DeadReason, DeliveryState};
use webhooks_delivery::Settings;
use webhooks_storage_memory::MemoryStorage;
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::support::*;

fn settings(workers: usize) -> Settings {
    Settings {
        workers,
        retry_strategy: every(secs(1), 100),
        ..Default::default()
    }
}

fn process(
    storage: &Arc<MemoryStorage>,
    workers: usize,
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> Node {
    let transport = ScriptedTransport::new(script);
    Node::start(storage, &transport, NEVER_OPENS, settings(workers))
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_work_of_a_third_that_only_sends() {
    let storage = storage();
    let sender = process(&storage, 0, |_| Reply::Status(200));
    let one = process(&storage, 2, |_| Reply::Slow(millis(50), 200));
    let two = process(&storage, 2, |_| Reply::Slow(millis(50), 200));
    for id in ["a", "b", "c"] {
        sender.add(endpoint(id)).await;
        sender.send_many(id, 300).await;
    }
    assert!(sender.drain(secs(60)).await);
    assert!(sender.transport.calls().is_empty());
    let (first, second) = (one.transport.calls(), two.transport.calls());
    assert!(first.len() > 100 && second.len() > 100);
    let all: BTreeSet<_> = first.iter().chain(&second).map(|c| c.delivery_id).collect();
    assert_eq!((all.len(), first.len() + second.len()), (900, 900));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_a_quick_endpoint_is_claimed_as_deep_as_it_may_be() {
    let storage = storage();
    let sender = process(&storage, 0, |_| Reply::Status(200));
    sender.add(endpoint("a")).await;
    let data = serde_json::Value::Null;
    for _ in 0..4 {
        let events = vec![(outgoing(Some("a")), &data); 800];
        sender.pipeline.send_all(&events).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let worker = process(&storage, 1, |_| Reply::Status(200));
    assert!(worker.drain(secs(60)).await);
    // Answers take no time here, so that all in hand goes with each settlement, every 2 ms: 25
    // times 128 deliveries.
    assert!(began.elapsed() < millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_an_endpoint_reaches_other_processes_within_a_second() {
    let storage = storage();
    let one = process(&storage, 1, |_| Reply::Status(200));
    let two = process(&storage, 1, |_| Reply::Slow(millis(10), 200));
    two.pipeline.ready().await.unwrap();
    one.add(endpoint("a")).await;
    tokio::time::sleep(millis(1_050)).await;
    assert_eq!(
        two.send(&outgoing(None)).await.unwrap().delivery_ids.len(),
        1
    );

    one.change("a", GateChange::Pause).await;
    tokio::time::sleep(millis(1_050)).await;
    let calls = two.transport.calls().len();
    two.send_to("a").await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(two.transport.calls().len(), calls);
    one.change("a", GateChange::Resume).await;
    assert!(two.drain(secs(2)).await);

    let now = one.pipeline.now();
    let deleted = one.storage.delete_endpoint("a", Expected::Any, now);
    assert_eq!(deleted.await.unwrap(), Deleted::Deleted);
    tokio::time::sleep(millis(1_050)).await;
    assert!(
        two.send(&outgoing(None))
            .await
            .unwrap()
            .delivery_ids
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_process_held_when_it_died_is_delivered_by_another_within_20_seconds() {
    let storage = storage();
    let doomed = process(&storage, 2, |_| Reply::Hang);
    let other = process(&storage, 2, |_| Reply::Status(200));
    doomed.add(endpoint("a")).await;
    let ids = doomed.send_many("a", 100).await;
    tokio::time::sleep(secs(5)).await;
    let held = storage.counts(None).await.unwrap().leased;
    assert!(held >= 16, "{held}");
    drop(doomed);
    tokio::time::sleep(secs(20)).await;
    let counts = other.counts().await;
    assert_eq!((counts.delivered, counts.waiting()), (100, 0));
    let mut crashed = 0;
    for id in ids {
        let delivery = other.record(id).await.delivery;
        assert_eq!(delivery.attempts, 1, "a death costs no attempt");
        crashed += delivery.crashes;
    }
    assert_eq!(u64::from(crashed), held);
}

#[tokio::test(start_paused = true)]
async fn three_deaths_make_a_delivery_poison_and_suspects_run_one_at_a_time() {
    let storage = storage();
    let mut ids = Vec::new();
    for death in 0..2 {
        let doomed = process(&storage, 1, |_| Reply::Hang);
        if death == 0 {
            doomed.add(endpoint("a")).await;
            doomed.add(endpoint("b")).await;
            ids.extend(doomed.send_many("a", 8).await);
            ids.extend(doomed.send_many("b", 8).await);
        }
        tokio::time::sleep(secs(20)).await;
        assert_eq!(storage.counts(None).await.unwrap().leased, 16);
    }
    let third = process(&storage, 1, |call| match call.nth {
        1 | 2 => Reply::Slow(millis(500), 200),
        _ => Reply::Hang,
    });
    tokio::time::sleep(secs(25)).await;
    assert_eq!(third.transport.peak(|_| true), 1);
    assert_eq!(
        third.counts().await.leased,
        1,
        "only what runs may be blamed"
    );
    drop(third);
    let last = process(&storage, 1, |_| Reply::Slow(millis(10), 200));
    tokio::time::sleep(secs(120)).await;
    assert_eq!(last.transport.peak(|_| true), 1);
    let counts = last.counts().await;
    assert_eq!((counts.dead, counts.waiting()), (1, 0), "{counts:?}");
    for id in ids {
        let record = last.record(id).await;
        if record.state == DeliveryState::Dead {
            assert_eq!(record.dead_reason, Some(DeadReason::Poison));
        }
    }
    last.send_many("a", 100).await;
    assert!(last.drain(secs(5)).await, "others go as ever");
    assert!(last.transport.peak(|_| true) > 1);
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_one_process_is_kept_by_the_others() {
    let storage = storage();
    let one = process(&storage, 1, |_| Reply::RetryAfter(429, secs(60)));
    one.add(endpoint("a")).await;
    one.send_to("a").await;
    tokio::time::sleep(secs(2)).await;
    let two = process(&storage, 1, |_| Reply::Status(200));
    two.send_many("a", 10).await;
    tokio::time::sleep(secs(50)).await;
    assert!(two.transport.calls().is_empty());
    one.transport.follow(|_| Reply::Status(200));
    assert!(two.drain(secs(30)).await);
    let asked = one.transport.calls()[0].clone();
    for call in two.transport.calls() {
        assert!(gap(&asked, &call) >= secs(60));
    }
}

//! What the in-memory storage promises beyond the contract: its bounds, its clock, its secrets.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::{Claim, Enqueued, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::storage::{
    Change, DeliveryQuery, Document, EventQuery, Expected, Saved, WebhookStorage,
};
use webhooks_core::{
    Clock, DeadReason, DeliveryId, DeliveryState, EventType, Priority, Timestamp, WebhookDelivery,
    WebhookEndpoint, WebhookError, WebhookEvent, WorkerId,
};
use webhooks_storage_memory::{MemoryLimits, MemoryStorage};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn small() -> MemoryLimits {
    MemoryLimits {
        deliveries: 10,
        waiting_per_endpoint: 4,
        ended: 3,
        log_lines: 2,
        log_bytes: 1_000,
        idempotency_keys: 2,
        events: 2,
        event_bytes: 1_000,
        documents: 2,
        document_bytes: 10,
        stat_buckets: 2,
    }
}

async fn storage(limits: MemoryLimits, endpoints: &[&str]) -> MemoryStorage {
    let storage = MemoryStorage::new().with_limits(limits);
    for id in endpoints {
        let endpoint = WebhookEndpoint {
            id: (*id).into(),
            secret: "hunter2".into(),
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await.unwrap();
    }
    storage
}

fn event(endpoints: &[&str]) -> NewEvent {
    let event_type = EventType::new("user.created").unwrap();
    let event = WebhookEvent::new(event_type, None, "hunter2", 1_000, NOW).unwrap();
    let deliveries = endpoints.iter().map(|id| NewDelivery {
        id: DeliveryId::new(NOW),
        endpoint_id: (*id).into(),
        incarnation: None,
        by_name: false,
        order: None,
        lease: false,
    });
    NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at: NOW,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: deliveries.collect(),
    }
}

async fn claim(storage: &MemoryStorage, limit: usize) -> Vec<WebhookDelivery> {
    let worker = WorkerId::named("worker");
    let claim = Claim {
        worker: &worker,
        now: NOW,
        limit,
        per_endpoint: 100,
        room: &[],
        poison_suspects: 0,
        rate_limit: None,
    };
    storage.claim(&claim).await.unwrap().deliveries
}

async fn deliver(storage: &MemoryStorage, delivery: &WebhookDelivery) {
    let settlement = Settlement {
        delivery_id: delivery.id,
        endpoint_id: delivery.endpoint_id.clone(),
        token: delivery.lease.as_ref().unwrap().token,
        settle_as: SettleAs::Delivered,
        attempt: None,
    };
    let worker = WorkerId::named("worker");
    storage.settle(&worker, &[settlement], NOW).await.unwrap();
}

#[tokio::test]
async fn a_full_backlog_of_one_endpoint_goes_to_the_dead_letters() {
    let storage = storage(small(), &["a", "b"]).await;
    let events: Vec<_> = (0..5).map(|_| event(&["a", "b"])).collect();
    let answers = storage.enqueue(&events, None, NOW).await.unwrap();
    let dead: Vec<_> = events[4].deliveries.iter().map(|d| d.id).collect();
    let missing = Vec::new();
    assert_eq!(answers.answers[4], Enqueued::Stored { missing, dead });
    let query = DeliveryQuery {
        states: vec![DeliveryState::Dead],
        ..DeliveryQuery::default()
    };
    let listed = storage.deliveries(&query).await.unwrap().items;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].dead_reason, Some(DeadReason::BacklogFull));
    let counts = storage.counts(None).await.unwrap();
    assert_eq!((counts.enqueued, counts.ready, counts.dead), (10, 8, 2));
    let replayed = storage.change(&query, Change::Replay, 10, NOW).await;
    assert_eq!(
        replayed.unwrap().changed,
        0,
        "nor does a replay overfill it"
    );
}

#[tokio::test]
async fn a_full_storage_refuses_the_whole_call() {
    let storage = storage(small(), &["a", "b", "c"]).await;
    for name in ["a", "b"] {
        let events: Vec<_> = (0..4).map(|_| event(&[name])).collect();
        storage.enqueue(&events, None, NOW).await.unwrap();
    }
    let three = [event(&["c"]), event(&["c", "c"])];
    let error = storage.enqueue(&three, None, NOW).await.unwrap_err();
    assert!(matches!(error, WebhookError::Overloaded(_)) && error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("holds 8 waiting and dead deliveries, at most 10"),
        "{text}"
    );
    assert_eq!(storage.counts(None).await.unwrap().enqueued, 8);
    storage.enqueue(&three[1..], None, NOW).await.unwrap();
    let again = storage.enqueue(&three[1..], None, NOW).await;
    assert!(again.is_ok(), "a resent call needs no room");
    let missing = storage.enqueue(&[event(&["nobody"])], None, NOW).await;
    assert_eq!(missing.unwrap().answers, [Enqueued::NoEndpoint]);
}

#[tokio::test]
async fn delivered_ones_fall_out_and_stay_counted() {
    let storage = storage(small(), &["a"]).await;
    for _ in 0..9 {
        storage.enqueue(&[event(&["a"])], None, NOW).await.unwrap();
        let taken = claim(&storage, 1).await;
        deliver(&storage, &taken[0]).await;
    }
    let listed = storage.deliveries(&DeliveryQuery::default()).await.unwrap();
    assert_eq!(listed.items.len(), 3);
    let counts = storage.counts(None).await.unwrap();
    assert_eq!((counts.enqueued, counts.delivered), (9, 9));
}

#[tokio::test]
async fn erasing_more_than_may_be_kept_ended_is_safe() {
    let storage = storage(small(), &["a", "b"]).await;
    for _ in 0..3 {
        storage.enqueue(&[event(&["a"])], None, NOW).await.unwrap();
        let taken = claim(&storage, 1).await;
        deliver(&storage, &taken[0]).await;
    }
    let waiting: Vec<_> = (0..4).map(|_| event(&["a", "b"])).collect();
    storage.enqueue(&waiting, None, NOW).await.unwrap();
    let all = DeliveryQuery::default();
    let erased = storage.change(&all, Change::Erase, 100, NOW).await;
    let erased = erased.unwrap().changed;
    assert!(
        erased >= 8,
        "{erased} of the 8 that waited, and of those that ended"
    );
    let counts = storage.counts(None).await.unwrap();
    assert_eq!(
        (counts.delivered, counts.cancelled, counts.waiting()),
        (3, 8, 0)
    );
}

#[tokio::test]
async fn too_many_idempotency_keys_are_refused() {
    let storage = storage(small(), &["a"]).await;
    let keyed = |key: &str| NewEvent {
        idempotency_key: Some(key.into()),
        ..event(&["a"])
    };
    for key in ["k1", "k2"] {
        storage.enqueue(&[keyed(key)], None, NOW).await.unwrap();
    }
    let error = storage
        .enqueue(&[keyed("k3")], None, NOW)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("holds 2 idempotency keys, at most 2")
    );
    let known = storage.enqueue(&[keyed("k1")], None, NOW).await.unwrap();
    assert!(matches!(known.answers[0], Enqueued::Duplicate { .. }));
    let tomorrow = NOW.after(Duration::from_secs(24 * 3_600));
    storage
        .enqueue(&[keyed("k3")], None, tomorrow)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_backlog_that_is_closed_costs_a_claim_nothing() {
    let storage = storage(MemoryLimits::default(), &["open", "closed"]).await;
    let backlog: Vec<_> = (0..50_000).map(|_| event(&["closed"])).collect();
    storage.enqueue(&backlog, None, NOW).await.unwrap();
    let gate = webhooks_core::storage::spi::EndpointGate {
        endpoint_id: "closed".into(),
        epoch: None,
        change: webhooks_core::storage::spi::GateChange::Pause,
    };
    storage.set_gates(&[gate], NOW).await.unwrap();
    assert!(claim(&storage, 10).await.is_empty());
    // Ten thousand claims that each looked at the backlog would take minutes.
    let started = tokio::time::Instant::now();
    for _ in 0..10_000 {
        storage
            .enqueue(&[event(&["open"])], None, NOW)
            .await
            .unwrap();
        let taken = claim(&storage, 10).await;
        assert_eq!(taken.len(), 1);
        deliver(&storage, &taken[0]).await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_long_listing_finds_everything() {
    let storage = storage(MemoryLimits::default(), &["a", "b"]).await;
    let needle = event(&["b"]);
    storage
        .enqueue(std::slice::from_ref(&needle), None, NOW)
        .await
        .unwrap();
    let haystack: Vec<_> = (0..25_000).map(|_| event(&["a"])).collect();
    storage.enqueue(&haystack, None, NOW).await.unwrap();
    let query = DeliveryQuery {
        event_id: Some(needle.event.id),
        ..DeliveryQuery::default()
    };
    let page = storage.deliveries(&query).await.unwrap();
    assert_eq!(page.items[0].delivery.id, needle.deliveries[0].id);
    assert!(page.next.is_none());
    let mut query = DeliveryQuery {
        endpoint_ids: Some(vec!["a".into()]),
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = storage.deliveries(&query).await.unwrap();
        pages.push(page.items.len());
        query.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![1_000; 25], vec![0]].concat());
}

#[tokio::test(start_paused = true)]
async fn the_clock_follows_paused_time() {
    let storage = MemoryStorage::new();
    let before = storage.beat(None, None).await.unwrap().now;
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let after = storage.beat(None, None).await.unwrap().now;
    let passed = after.since(before).as_millis();
    assert!((3_599_990..3_600_010).contains(&passed), "{passed} ms");
}

#[tokio::test]
async fn the_clock_is_the_wall_clock() {
    let storage = MemoryStorage::new();
    let told = storage.beat(None, None).await.unwrap().now;
    let file = file_time();
    assert!(
        told.since(file) < Duration::from_secs(60) && file.since(told) < Duration::from_secs(60)
    );
}

/// The wall clock as the file system tells it.
fn file_time() -> Timestamp {
    let path = std::env::temp_dir().join(format!("webhooks-clock-{}", std::process::id()));
    std::fs::write(&path, "").unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::remove_file(&path).unwrap();
    modified.into()
}

#[tokio::test]
async fn a_clock_can_be_given() {
    #[derive(Debug)]
    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            NOW
        }
    }
    let storage = MemoryStorage::new().with_clock(Fixed);
    assert_eq!(storage.beat(None, None).await.unwrap().now, NOW);
}

#[tokio::test]
async fn debug_tells_neither_secret_nor_payload() {
    let storage = storage(MemoryLimits::default(), &["a"]).await;
    storage.enqueue(&[event(&["a"])], None, NOW).await.unwrap();
    let text = format!("{storage:?}");
    assert!(
        text.contains("ready: 1") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn every_waiter_is_woken() {
    let storage = Arc::new(storage(MemoryLimits::default(), &["a"]).await);
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move { storage.wait().await })
        })
        .collect();
    tokio::task::yield_now().await;
    storage.enqueue(&[event(&["a"])], None, NOW).await.unwrap();
    for waiter in waiters {
        tokio::time::timeout(Duration::from_secs(5), waiter)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn events_that_have_no_delivery_any_more_fall_out() {
    let storage = storage(small(), &["a"]).await;
    let events: Vec<_> = (0..4).map(|_| event(&[])).collect();
    storage.enqueue(&events, None, NOW).await.unwrap();
    let listed = storage.events(&EventQuery::default()).await.unwrap().items;
    let listed: HashSet<_> = listed.iter().map(|record| record.event.id).collect();
    let last: HashSet<_> = events[2..].iter().map(|new| new.event.id).collect();
    assert_eq!(listed, last);
    // One with a delivery stays, however many come behind it.
    let kept = event(&["a"]);
    storage
        .enqueue(std::slice::from_ref(&kept), None, NOW)
        .await
        .unwrap();
    storage.enqueue(&events, None, NOW).await.unwrap();
    let query = EventQuery {
        ids: Some(vec![kept.event.id]),
        ..EventQuery::default()
    };
    assert_eq!(storage.events(&query).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn documents_over_the_bounds_are_refused() {
    let storage = storage(small(), &[]).await;
    let documents = storage.documents().unwrap();
    let put = async |id: &str, value: &str| {
        let document = Document::new(id, value);
        documents.put("kind", &document, Expected::Any, NOW).await
    };
    let is_stored = |saved| matches!(saved, Ok(Saved::Stored(_)));
    assert!(is_stored(put("one", "12345").await));
    let error = put("two", "123456").await.unwrap_err();
    assert!(matches!(error, WebhookError::Overloaded(_)), "{error}");
    assert!(is_stored(put("two", "12345").await));
    assert!(put("three", "").await.is_err());
    assert!(is_stored(put("one", "").await));
    assert!(is_stored(put("two", "1234567890").await));
}

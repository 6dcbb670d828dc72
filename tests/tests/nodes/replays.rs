//! A walk over many deliveries changes what was there when it began, each once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use better_auth_webhooks::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, NewEvent, Settled, Settlement, Swept,
};
use better_auth_webhooks::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, EndpointRecord, EventQuery,
    EventRecord, Expected, Page, Retention, Saved, WebhookStorage, WorkerRecord,
};
use better_auth_webhooks::{
    DeliveryState, EventId, OutgoingEvent, Result, Timestamp, WebhookEndpoint, WebhookError,
    WebhookSystem, WorkerId,
};
use serde_json::json;
use webhooks_tests::{Receiver, Response};

use crate::place::{Place, all, builder, count, endpoint, on_each_storage, until};

on_each_storage! {
    what_dies_again_at_once_is_replayed_once
    letters_of_a_mended_endpoint_are_all_replayed_beside_newer_ones
    a_walk_can_be_stopped_and_resumed
    a_step_that_fails_is_made_again
}

async fn send(system: &WebhookSystem, endpoint: &str, events: usize) {
    let event = |n| {
        let event = OutgoingEvent::new("order.paid").data(json!({ "n": n }));
        event.endpoint(endpoint)
    };
    for batch in (0..events).collect::<Vec<_>>().chunks(500) {
        let sent = system.send_batch(batch.iter().map(|n| event(*n))).await;
        assert!(sent.unwrap().iter().all(Result::is_ok));
    }
}

async fn dead(system: &WebhookSystem, letters: usize) {
    until("all are dead", async || {
        count(system, DeliveryState::Dead).await == letters as u64
    })
    .await;
}

/// How often each event arrived.
fn arrivals(receiver: &Receiver) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for request in receiver.received() {
        *arrivals
            .entry(request.header("x-webhook-delivery").to_owned())
            .or_default() += 1;
    }
    arrivals
}

async fn what_dies_again_at_once_is_replayed_once(place: &Place) {
    const LETTERS: usize = 2_500;
    let receiver = Receiver::responding(413).await;
    let system = place.node().await;
    let a = endpoint("a", &receiver.url());
    system.register_endpoint(a).await.unwrap();
    send(&system, "a", LETTERS).await;
    dead(&system, LETTERS).await;
    let replayed = system.dead_letters().replay_all(&all()).await.unwrap();
    assert_eq!(replayed, LETTERS);
    receiver.wait_for(2 * LETTERS).await;
    dead(&system, LETTERS).await;
    let arrivals = arrivals(&receiver);
    assert_eq!(arrivals.len(), LETTERS);
    assert!(arrivals.values().all(|times| *times == 2));
}

async fn letters_of_a_mended_endpoint_are_all_replayed_beside_newer_ones(place: &Place) {
    const LETTERS: usize = 1_200;
    let mended =
        Receiver::start(|_, n| Response::Status(if n <= LETTERS { 413 } else { 200 })).await;
    let broken = Receiver::responding(413).await;
    let system = place.node().await;
    for (id, receiver) in [("mended", &mended), ("broken", &broken)] {
        let endpoint = endpoint(id, &receiver.url());
        system.register_endpoint(endpoint).await.unwrap();
        send(&system, id, LETTERS).await;
    }
    dead(&system, 2 * LETTERS).await;
    let replayed = system.dead_letters().replay_all(&all()).await.unwrap();
    assert_eq!(replayed, 2 * LETTERS);
    mended.wait_for(2 * LETTERS).await;
    broken.wait_for(2 * LETTERS).await;
    dead(&system, LETTERS).await;
    assert_eq!(
        count(&system, DeliveryState::Delivered).await,
        LETTERS as u64
    );
    for receiver in [mended, broken] {
        assert!(arrivals(&receiver).values().all(|times| *times == 2));
    }
}

async fn a_walk_can_be_stopped_and_resumed(place: &Place) {
    const LETTERS: usize = 40;
    let receiver = Receiver::responding(413).await;
    let system = place.node().await;
    let a = endpoint("a", &receiver.url());
    system.register_endpoint(a).await.unwrap();
    send(&system, "a", LETTERS).await;
    dead(&system, LETTERS).await;
    let began = place.storage().await.beat(None, None).await.unwrap().now;
    let mut query = DeliveryQuery {
        states: vec![DeliveryState::Dead],
        updated_before: Some(began.after(Duration::from_millis(1))),
        ..all()
    };
    let (mut replayed, mut steps) = (0, 0);
    loop {
        // Another process goes on each time, and everything has died again by then.
        let system = place.node().await;
        let step = system.change_some(&query, Change::Replay, 16).await;
        let step = step.unwrap();
        replayed += step.changed;
        steps += 1;
        receiver.wait_for(LETTERS + replayed).await;
        dead(&system, LETTERS).await;
        query.before = step.next;
        if step.next.is_none() {
            break;
        }
    }
    assert_eq!((replayed, steps), (LETTERS, 3));
    assert!(arrivals(&receiver).values().all(|times| *times == 2));
}

async fn a_step_that_fails_is_made_again(place: &Place) {
    const LETTERS: usize = 2_300;
    let receiver = Receiver::responding(413).await;
    let failing = Arc::new(FailingChange {
        inner: place.storage().await,
        calls: AtomicUsize::new(0),
    });
    let system = builder().build(failing.clone());
    let a = endpoint("a", &receiver.url());
    system.register_endpoint(a).await.unwrap();
    send(&system, "a", LETTERS).await;
    dead(&system, LETTERS).await;
    let replayed = system.dead_letters().replay_all(&all()).await.unwrap();
    assert_eq!(replayed, LETTERS);
    receiver.wait_for(2 * LETTERS).await;
    dead(&system, LETTERS).await;
    assert!(arrivals(&receiver).values().all(|times| *times == 2));
    assert!(failing.calls.load(Ordering::SeqCst) > 3, "one failed");
}

/// A storage whose second change of deliveries fails before it is made.
#[derive(Debug)]
struct FailingChange {
    inner: Arc<dyn WebhookStorage>,
    calls: AtomicUsize,
}

#[async_trait]
impl WebhookStorage for FailingChange {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        self.inner.save_definition(endpoint, expected).await
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        self.inner.save_secrets(endpoint, expected).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        self.inner.endpoint_record(id).await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        self.inner.delete_endpoint(id, expected, now).await
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        self.inner.endpoints_since(revision, limit).await
    }

    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        self.inner.set_gates(gates, now).await
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        self.inner.enqueue(events, worker, now).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        self.inner.claim(claim).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        self.inner.settle(worker, settlements, now).await
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        self.inner.beat(worker, at).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        self.inner.deliveries(query).await
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(WebhookError::transient_storage("no answer", "cut off"));
        }
        self.inner.change(query, to, limit, now).await
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        self.inner.deliver_events(deliveries, now).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        self.inner.events(query).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.inner.oldest_ready(now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.inner.workers().await
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        self.inner.counts(endpoint_id).await
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        self.inner.sweep(retention, limit, now).await
    }
}

//! What cases share: a storage, a start time to count from, and short ways to say what is done to
//! it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use webhooks_core::storage::spi::{
    Claim, Claimed, EndpointGate, Enqueued, GateChange, NewDelivery, NewEvent, SettleAs, Settled,
    Settlement,
};
use webhooks_core::storage::{
    Counts, Deleted, DeliveryQuery, DeliveryRecord, EndpointRecord, Expected, WebhookStorage,
};
use webhooks_core::{
    AttemptRecord, DeliveryId, DeliveryState, EventId, EventType, Priority, Timestamp,
    WebhookDelivery, WebhookEndpoint, WebhookEvent, WorkerId,
};

use crate::Capabilities;

/// A storage under test, with short ways to do what most cases do.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) capabilities: Capabilities,
    /// The storage's time when the case began.
    start: Timestamp,
    /// A worker that has beaten once.
    pub(crate) worker: WorkerId,
}

impl Bench {
    /// Asks the storage for its time, and lets the worker beat once, since who does not beat may
    /// not claim.
    pub(crate) async fn new(storage: Arc<dyn WebhookStorage>, capabilities: Capabilities) -> Self {
        // From the storage, as its clock may be another machine's.
        let start = storage.beat(None, None).await.unwrap().now;
        let worker = WorkerId::named("worker_a");
        storage.beat(Some(&worker), Some(start)).await.unwrap();
        Self {
            storage,
            capabilities,
            start,
            worker,
        }
    }

    /// The time so many seconds after the case began.
    pub(crate) fn at(&self, seconds: i64) -> Timestamp {
        Timestamp::from_millis(self.start.as_millis() + seconds * 1_000)
    }

    /// Returns once the storage's own clock is past this time.
    pub(crate) async fn until_past(&self, at: Timestamp) {
        while self.storage.beat(None, None).await.unwrap().now <= at {
            tokio::task::yield_now().await;
        }
    }

    /// Saves plain endpoints with these ids.
    pub(crate) async fn save(&self, ids: &[&str]) {
        for id in ids {
            self.storage.save_endpoint(&endpoint(id)).await.unwrap();
        }
    }

    /// The record of an endpoint as changes tell of it, of a tombstone too.
    pub(crate) async fn record(&self, id: &str) -> EndpointRecord {
        let changes = self.storage.endpoints_since(0, 10_000).await.unwrap();
        let mut records = changes.records.into_iter();
        records.find(|r| r.endpoint.id == id).unwrap()
    }

    /// Deletes an endpoint, whatever its definition. Whether there was one.
    pub(crate) async fn delete(&self, id: &str, now: Timestamp) -> bool {
        let deleted = self.storage.delete_endpoint(id, Expected::Any, now).await;
        let deleted = deleted.unwrap();
        assert_ne!(deleted, Deleted::Conflict, "nothing was expected");
        deleted == Deleted::Deleted
    }

    /// Changes a gate at the start, whatever the epoch.
    pub(crate) async fn gate(&self, id: &str, change: GateChange) {
        self.gate_at(id, change, self.at(0)).await;
    }

    /// Changes a gate at this time, whatever the epoch.
    pub(crate) async fn gate_at(&self, id: &str, change: GateChange, now: Timestamp) {
        self.gate_of(id, None, change, now).await;
    }

    /// Changes a gate, as was decided in this epoch.
    pub(crate) async fn gate_of(
        &self,
        id: &str,
        epoch: Option<u64>,
        change: GateChange,
        now: Timestamp,
    ) {
        let gate = EndpointGate {
            endpoint_id: id.into(),
            epoch,
            change,
        };
        self.storage.set_gates(&[gate], now).await.unwrap();
    }

    /// An event sent at the start, with one delivery to each of these endpoints.
    pub(crate) fn event(&self, endpoints: &[&str]) -> NewEvent {
        self.event_at(endpoints, self.at(0))
    }

    /// An event sent at this time, with one delivery to each of these endpoints.
    pub(crate) fn event_at(&self, endpoints: &[&str], now: Timestamp) -> NewEvent {
        let deliveries = endpoints.iter().map(|id| NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: (*id).into(),
            incarnation: None,
            by_name: false,
            order: None,
            lease: false,
        });
        NewEvent {
            event: Arc::new(event("user.created", None, br#"{"n":1}"#, now)),
            priority: Priority::Normal,
            due_at: now,
            max_retries: 3,
            idempotency_key: None,
            fingerprint: None,
            keep: true,
            deliveries: deliveries.collect(),
        }
    }

    /// An event like [`event`](Self::event) with an idempotency key.
    pub(crate) fn keyed(&self, key: &str, tenant: Option<&str>, endpoints: &[&str]) -> NewEvent {
        let mut new = self.event(endpoints);
        new.event = Arc::new(event("user.created", tenant, b"{}", self.at(0)));
        new.idempotency_key = Some(key.into());
        new
    }

    /// Stores events at the start, with the bench's worker for what asks for a lease.
    pub(crate) async fn enqueue(&self, events: &[NewEvent]) -> Vec<Enqueued> {
        self.enqueue_at(events, self.at(0)).await
    }

    /// Stores events at this time.
    pub(crate) async fn enqueue_at(&self, events: &[NewEvent], now: Timestamp) -> Vec<Enqueued> {
        let worker = Some(&self.worker);
        let commit = self.storage.enqueue(events, worker, now).await.unwrap();
        commit.answers
    }

    /// Sends one event to one endpoint at the start.
    pub(crate) async fn send(&self, endpoint: &str) -> DeliveryId {
        self.send_many(endpoint, 1).await[0]
    }

    /// Sends events to one endpoint, each a millisecond after the one before, the last one at the
    /// start.
    ///
    /// Different times, since within one millisecond only the order of arrival would tell them
    /// apart.
    pub(crate) async fn send_many(&self, endpoint: &str, count: i64) -> Vec<DeliveryId> {
        let sent = |n| Timestamp::from_millis(self.start.as_millis() - count + 1 + n);
        let events: Vec<_> = (0..count)
            .map(|n| self.event_at(&[endpoint], sent(n)))
            .collect();
        self.enqueue(&events).await;
        events.iter().map(|e| e.deliveries[0].id).collect()
    }

    /// A claim with plenty of room, by the bench's worker.
    ///
    /// With every poison suspect: cases that are about those say how many they take.
    pub(crate) fn claim_at(&self, now: Timestamp) -> Claim<'_> {
        Claim {
            worker: &self.worker,
            now,
            limit: 10_000,
            per_endpoint: 10_000,
            room: &[],
            poison_suspects: usize::MAX,
            rate_limit: None,
        }
    }

    /// A claim as it is given.
    pub(crate) async fn claim(&self, claim: Claim<'_>) -> Claimed {
        self.storage.claim(&claim).await.unwrap()
    }

    /// Claims everything that is ready `seconds` after the start.
    pub(crate) async fn take(&self, seconds: i64) -> Vec<WebhookDelivery> {
        self.claim(self.claim_at(self.at(seconds))).await.deliveries
    }

    /// Sends one event to one endpoint and claims it.
    pub(crate) async fn lease_one(&self, endpoint: &str) -> WebhookDelivery {
        let id = self.send(endpoint).await;
        let mut taken = self.take(0).await;
        assert_eq!(ids(&taken), [id], "the one ready delivery is claimed");
        taken.remove(0)
    }

    /// Settles as the bench's worker, at the start.
    pub(crate) async fn settle(&self, settlements: &[Settlement]) -> Vec<Settled> {
        self.settle_at(settlements, self.at(0)).await
    }

    /// Settles as the bench's worker, at this time.
    pub(crate) async fn settle_at(&self, all: &[Settlement], now: Timestamp) -> Vec<Settled> {
        self.storage.settle(&self.worker, all, now).await.unwrap()
    }

    /// Sends one event to an endpoint and lets it end as dead.
    pub(crate) async fn dead_one(&self, endpoint: &str) -> DeliveryId {
        let delivery = self.lease_one(endpoint).await;
        let settled = self.settle(&[self.failed(&delivery, DEAD)]).await;
        assert_eq!(settled, [Settled::Applied]);
        delivery.id
    }

    /// A settlement without an attempt.
    pub(crate) fn settlement(&self, of: &WebhookDelivery, settle_as: SettleAs) -> Settlement {
        Settlement {
            delivery_id: of.id,
            endpoint_id: of.endpoint_id.clone(),
            token: of.lease.as_ref().unwrap().token,
            settle_as,
            attempt: None,
        }
    }

    /// A settlement of an attempt that started at the start.
    ///
    /// A failed one by default. Whether the attempt succeeded makes no difference to a storage: it
    /// logs what it is given, and does what `settle_as` says.
    pub(crate) fn failed(&self, of: &WebhookDelivery, settle_as: SettleAs) -> Settlement {
        Settlement {
            attempt: Some(self.attempt(of, self.at(0))),
            ..self.settlement(of, settle_as)
        }
    }

    /// The next attempt at a delivery: a 500 after 12 ms.
    pub(crate) fn attempt(&self, of: &WebhookDelivery, started_at: Timestamp) -> AttemptRecord {
        let mut attempt = AttemptRecord::new(of.id, of.attempts + 1, started_at);
        attempt.duration = Duration::from_millis(12);
        attempt.status = Some(500);
        attempt.failure = Some(webhooks_core::FailureKind::ServerError);
        attempt.response = Bytes::from_static(b"no");
        attempt
    }

    /// The delivery with this id, with its attempts.
    pub(crate) async fn delivery(&self, id: DeliveryId) -> DeliveryRecord {
        let query = DeliveryQuery {
            with_attempts: true,
            ..DeliveryQuery::of_delivery(id)
        };
        let mut items = self.list(&query).await;
        assert_eq!(items.len(), 1, "one delivery has the id {id}");
        items.remove(0)
    }

    /// The state that a delivery is in.
    pub(crate) async fn state(&self, id: DeliveryId) -> DeliveryState {
        self.delivery(id).await.state
    }

    /// The first page that a query finds.
    pub(crate) async fn list(&self, query: &DeliveryQuery) -> Vec<DeliveryRecord> {
        self.storage.deliveries(query).await.unwrap().items
    }

    /// The counts, which must add up.
    ///
    /// Every case that looks at counts so checks, on the way, that no delivery was lost or counted
    /// twice.
    pub(crate) async fn counts(&self, endpoint: Option<&str>) -> Counts {
        let counts = self.storage.counts(endpoint).await.unwrap();
        let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
        // On every look, for one endpoint and for all: no step may lose a delivery or count it
        // twice.
        assert_eq!(
            counts.enqueued,
            ended + counts.waiting(),
            "the counts add up: {counts:?}"
        );
        counts
    }
}

/// The end of a delivery whose last attempt failed.
pub(crate) const DEAD: SettleAs = SettleAs::Dead {
    reason: webhooks_core::DeadReason::AttemptsExhausted,
};

/// A plain endpoint.
///
/// It takes everything, with a URL of its own.
pub(crate) fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: format!("https://example.com/{id}"),
        secret: "not a real secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

/// An event with these bytes as its payload.
pub(crate) fn event(
    event_type: &str,
    tenant: Option<&str>,
    payload: &[u8],
    now: Timestamp,
) -> WebhookEvent {
    WebhookEvent {
        id: EventId::new(now),
        event_type: EventType::new(event_type).unwrap(),
        tenant: tenant.map(Into::into),
        payload: Bytes::copy_from_slice(payload),
        created_at: now,
        ordering_key: None,
        trace: None,
    }
}

/// The ids of deliveries, in their order.
pub(crate) fn ids(deliveries: &[WebhookDelivery]) -> Vec<DeliveryId> {
    deliveries.iter().map(|d| d.id).collect()
}

/// The tokens of leases.
pub(crate) fn token(delivery: &WebhookDelivery) -> u64 {
    delivery.lease.as_ref().unwrap().token
}

/// How many of each endpoint these are.
pub(crate) fn by_endpoint(deliveries: &[WebhookDelivery]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for delivery in deliveries {
        *counts.entry(&*delivery.endpoint_id).or_default() += 1;
    }
    counts
}

//! A delivery whose workers died twice starts at an endpoint however busy that is.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::storage::spi::{
    Claim, EndpointGate, GateChange, NewDelivery, NewEvent, SettleAs, Settled, Settlement,
};
use better_auth_webhooks::{
    BatchConfig, DeliveryId, EventType, Priority, RateLimitConfig, WebhookEndpoint, WebhookEvent,
    WebhookSystem, WebhookSystemBuilder, WorkerId,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webhooks_tests::{Receiver, Response};

use crate::place::{Place, builder, endpoint, on_each_storage};

on_each_storage! {
    it_starts_at_an_endpoint_that_is_busy
    it_starts_at_an_endpoint_that_takes_a_request_at_a_time
    it_starts_alone_at_an_endpoint_that_batches
    it_starts_at_an_endpoint_with_a_rate_limit
    it_starts_beside_suspects_of_others
}

/// Senders that have an endpoint busy until they are dropped.
struct Busy(Vec<JoinHandle<()>>);

impl Busy {
    fn keep(system: &Arc<WebhookSystem>, senders: usize) -> Self {
        let sender = |_| {
            let system = system.clone();
            tokio::spawn(async move {
                loop {
                    let event = system.webhook("order.paid").data(json!({ "n": 1 }));
                    event.endpoint("a").send().await.unwrap();
                }
            })
        };
        Self((0..senders).map(sender).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Deliveries to this endpoint that two workers had in hand when they died.
async fn suspects(
    storage: &dyn WebhookStorage,
    endpoint_id: &str,
    count: usize,
) -> Vec<DeliveryId> {
    let start = storage.beat(None, None).await.unwrap().now;
    let event_type = EventType::new("order.paid").unwrap();
    let event = WebhookEvent::new(event_type, None, &json!({}), 1 << 20, start).unwrap();
    let deliveries = (0..count).map(|_| NewDelivery {
        id: DeliveryId::new(start),
        endpoint_id: endpoint_id.into(),
        incarnation: None,
        by_name: true,
        order: None,
        lease: false,
    });
    let new = NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at: start,
        max_retries: 0,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: deliveries.collect(),
    };
    storage
        .enqueue(std::slice::from_ref(&new), None, start)
        .await
        .unwrap();
    for crash in 0..2_u64 {
        let worker = WorkerId::named(&format!("victim_{crash}"));
        let at = |second: u64| start.after(Duration::from_secs(crash * 100 + second));
        storage.beat(Some(&worker), Some(at(0))).await.unwrap();
        let claim = Claim {
            worker: &worker,
            now: at(0),
            limit: 1_000,
            per_endpoint: 1_000,
            room: &[],
            poison_suspects: 0,
            rate_limit: None,
        };
        let claimed = storage.claim(&claim).await.unwrap().deliveries;
        assert_eq!(claimed.len(), count);
        let rescuer = WorkerId::named("rescuer");
        for second in [10_u64, 13, 16, 19] {
            storage
                .beat(Some(&rescuer), Some(at(second)))
                .await
                .unwrap();
        }
    }
    new.deliveries.iter().map(|delivery| delivery.id).collect()
}

/// When the poison suspect is due: the endpoint is busy by then.
const LATER: Duration = Duration::from_secs(2);

/// How long it may then take: a poll of the storage, and a request.
const SOON: Duration = Duration::from_secs(6);

/// Puts a poison suspect off until later. It is older than all that its endpoint gets meanwhile.
async fn put_off(storage: &dyn WebhookStorage, suspect: DeliveryId) {
    let now = storage.beat(None, None).await.unwrap().now;
    let worker = WorkerId::named("keeper");
    storage.beat(Some(&worker), Some(now)).await.unwrap();
    let claim = Claim {
        worker: &worker,
        now,
        limit: 1,
        per_endpoint: 1,
        room: &[],
        poison_suspects: 1,
        rate_limit: None,
    };
    let claimed = storage.claim(&claim).await.unwrap().deliveries;
    assert_eq!((claimed.len(), claimed[0].id), (1, suspect));
    let release = Settlement {
        delivery_id: suspect,
        endpoint_id: claimed[0].endpoint_id.clone(),
        token: claimed[0].lease.as_ref().unwrap().token,
        settle_as: SettleAs::Release {
            at: now.after(LATER),
        },
        attempt: None,
    };
    let settled = storage.settle(&worker, &[release], now).await;
    assert_eq!(settled.unwrap(), [Settled::Applied]);
}

/// A poison suspect of an endpoint at which younger ones keep all places taken arrives soon after
/// it is due, before `most` more of them have.
async fn arrives(
    place: &Place,
    definition: WebhookEndpoint,
    builder: WebhookSystemBuilder,
    receiver: &Receiver,
) {
    let storage = place.storage().await;
    let plain = endpoint("a", &receiver.url());
    storage.save_endpoint(&plain).await.unwrap();
    let suspect = suspects(&*storage, "a", 1).await[0];
    put_off(&*storage, suspect).await;
    storage.save_endpoint(&definition).await.unwrap();
    let system = Arc::new(place.node_with(builder).await);
    let busy = Busy::keep(&system, 100);
    tokio::time::sleep(LATER).await;
    let before = receiver.count();
    assert!(before > 2, "it is not busy: {before}");
    let has_arrived = || {
        let received = receiver.received().into_iter();
        let mut ids = received.map(|r| r.header("x-webhook-delivery").to_owned());
        ids.any(|id| id == suspect.to_string())
    };
    let due = Instant::now();
    while !has_arrived() {
        let others = receiver.count() - before;
        assert!(due.elapsed() < SOON, "{others} others came before");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(busy);
}

async fn slow() -> Receiver {
    Receiver::start(|_, _| Response::After(Duration::from_millis(30), 200)).await
}

async fn it_starts_at_an_endpoint_that_is_busy(place: &Place) {
    let receiver = slow().await;
    let definition = endpoint("a", &receiver.url());
    Box::pin(arrives(place, definition, builder(), &receiver)).await;
}

async fn it_starts_at_an_endpoint_that_takes_a_request_at_a_time(place: &Place) {
    let receiver = slow().await;
    let definition = endpoint("a", &receiver.url());
    let builder = builder().max_in_flight_per_endpoint(1);
    Box::pin(arrives(place, definition, builder, &receiver)).await;
}

async fn it_starts_alone_at_an_endpoint_that_batches(place: &Place) {
    let receiver = slow().await;
    let batch = BatchConfig {
        max_events: 3,
        max_wait_ms: 60_000,
        max_bytes: 1 << 20,
    };
    let definition = WebhookEndpoint {
        batch: Some(batch),
        ..endpoint("a", &receiver.url())
    };
    // It has a delivery id of its own only if no others are with it.
    let builder = builder().max_in_flight_per_endpoint(1);
    Box::pin(arrives(place, definition, builder, &receiver)).await;
}

async fn it_starts_at_an_endpoint_with_a_rate_limit(place: &Place) {
    let receiver = slow().await;
    let definition = WebhookEndpoint {
        rate_limit: Some(RateLimitConfig {
            requests_per_second: 20,
            burst_size: 2,
        }),
        ..endpoint("a", &receiver.url())
    };
    Box::pin(arrives(place, definition, builder(), &receiver)).await;
}

async fn it_starts_beside_suspects_of_others(place: &Place) {
    let receiver = slow().await;
    let storage = place.storage().await;
    // Older, and nothing of it can start.
    storage
        .save_endpoint(&endpoint("paused", &receiver.url()))
        .await
        .unwrap();
    suspects(&*storage, "paused", 50).await;
    let gate = EndpointGate {
        endpoint_id: "paused".into(),
        epoch: None,
        change: GateChange::Pause,
    };
    let now = storage.beat(None, None).await.unwrap().now;
    storage.set_gates(&[gate], now).await.unwrap();
    let definition = endpoint("a", &receiver.url());
    Box::pin(arrives(place, definition, builder(), &receiver)).await;
}

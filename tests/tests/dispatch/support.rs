use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::storage::{Counts, DeliveryQuery, DeliveryRecord, WebhookStorage};
use webhooks_core::{
    Admission, CircuitBreakerConfig, Clock, DeliveryId, Priority, Result, RetryStrategy,
    SendOptions, Timestamp, Transport, WebhookEndpoint,
};
use webhooks_delivery::{Pipeline, Sent, Settings};
use webhooks_resilience::ResilienceAdmission;
use webhooks_storage_memory::MemoryStorage;
use webhooks_tests::{Call, Reply, ScriptedTransport};

pub(crate) const EVENT: &str = "user.created";

/// Storage time that Tokio's paused clock drives alone.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let since = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(1_704_110_400_000 + since)
    }
}

pub(crate) fn storage() -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::new().with_clock(TokioClock(Instant::now())))
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Retries after the same time each, jitter aside.
pub(crate) fn every(delay: Duration, max_retries: u32) -> RetryStrategy {
    let delay = u64::try_from(delay.as_millis()).unwrap();
    RetryStrategy {
        max_retries,
        initial_delay_ms: delay,
        max_delay_ms: delay,
        backoff_multiplier: 1.0,
    }
}

/// A circuit that stays closed.
pub(crate) const NEVER_OPENS: CircuitBreakerConfig = CircuitBreakerConfig {
    failure_threshold: u32::MAX,
    success_threshold: 1,
    timeout_seconds: 1,
    half_open_max_requests: 1,
};

pub(crate) fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: "https://hooks.example.com/".into(),
        secret: "hunter2".into(),
        events: vec!["user.*".into()],
        ..Default::default()
    }
}

pub(crate) fn outgoing(endpoint_id: Option<&str>) -> SendOptions<'_> {
    SendOptions {
        event_type: EVENT,
        tenant: None,
        endpoint_id,
        priority: Priority::Normal,
        delay: Duration::ZERO,
        idempotency_key: None,
        max_retries: None,
        ordering_key: None,
        trace: None,
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pipeline: Pipeline,
    pub(crate) transport: Arc<ScriptedTransport>,
    pub(crate) storage: Arc<MemoryStorage>,
}

impl Node {
    /// A process on a storage of its own, with endpoints of these ids.
    pub(crate) async fn alone(
        endpoints: &[&str],
        settings: Settings,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let transport = ScriptedTransport::new(script);
        let node = Self::start(&storage(), &transport, NEVER_OPENS, settings);
        for id in endpoints {
            node.add(endpoint(id)).await;
        }
        node
    }

    pub(crate) fn start(
        storage: &Arc<MemoryStorage>,
        transport: &Arc<ScriptedTransport>,
        circuit: CircuitBreakerConfig,
        settings: Settings,
    ) -> Self {
        let way = storage.clone();
        let sending = transport.clone();
        Self::over(way, storage, sending, transport, circuit, settings)
    }

    /// A process that reaches the storage and the endpoints by other ways.
    pub(crate) fn over(
        way: Arc<dyn WebhookStorage>,
        storage: &Arc<MemoryStorage>,
        transport: Arc<dyn Transport>,
        scripted: &Arc<ScriptedTransport>,
        circuit: CircuitBreakerConfig,
        settings: Settings,
    ) -> Self {
        let admission: Arc<dyn Admission> = Arc::new(ResilienceAdmission::new(circuit));
        let settings = Settings {
            half_open_max_requests: circuit.half_open_max_requests,
            ..settings
        };
        let pipeline = Pipeline::start(way, |_| Ok(transport), admission, settings).unwrap();
        Self {
            pipeline,
            transport: scripted.clone(),
            storage: storage.clone(),
        }
    }

    pub(crate) async fn add(&self, endpoint: WebhookEndpoint) {
        self.pipeline.ready().await.unwrap();
        self.storage.save_endpoint(&endpoint).await.unwrap();
        self.pipeline.refresh().await.unwrap();
    }

    pub(crate) async fn change(&self, endpoint_id: &str, change: GateChange) {
        let gate = EndpointGate {
            endpoint_id: endpoint_id.into(),
            epoch: None,
            change,
        };
        let now = self.pipeline.now();
        self.storage.set_gates(&[gate], now).await.unwrap();
        self.pipeline.refresh().await.unwrap();
    }

    pub(crate) async fn send(&self, send: &SendOptions<'_>) -> Result<Sent> {
        self.pipeline.send(send, &json!({ "user_id": "123" })).await
    }

    /// Sends one event to one endpoint.
    pub(crate) async fn send_to(&self, endpoint_id: &str) -> DeliveryId {
        let sent = self.send(&outgoing(Some(endpoint_id))).await.unwrap();
        sent.delivery_ids[0]
    }

    pub(crate) async fn send_many(&self, endpoint_id: &str, count: usize) -> Vec<DeliveryId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.send_to(endpoint_id).await);
        }
        ids
    }

    pub(crate) async fn drain(&self, deadline: Duration) -> bool {
        self.pipeline.drain(deadline).await.unwrap()
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.storage.counts(None).await.unwrap()
    }

    pub(crate) async fn record(&self, id: DeliveryId) -> DeliveryRecord {
        let query = DeliveryQuery {
            with_attempts: true,
            ..DeliveryQuery::of_delivery(id)
        };
        let page = self.storage.deliveries(&query).await.unwrap();
        page.items.into_iter().next().unwrap()
    }
}

/// Every delivery has one place.
pub(crate) fn assert_balanced(counts: &Counts) {
    let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
    assert_eq!(counts.enqueued, ended + counts.waiting(), "{counts:?}");
}

pub(crate) fn gap(from: &Call, to: &Call) -> Duration {
    to.at.since(from.at)
}

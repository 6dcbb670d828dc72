//! Random endpoints, settings and operations: whatever happens, every delivery has one place, none
//! is lost, and no request starts for one that has ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fastrand::Rng;
use serde_json::Value;
use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{
    Change, Deleted, DeliveryQuery, DisabledBy, Expected, Retention, WebhookStorage,
};
use webhooks_core::{
    Attempt, BATCH_EVENT, BatchConfig, CircuitBreakerConfig, DeliveryId, DeliveryResult,
    DeliveryState, EventId, FailureKind, Priority, RateLimitConfig, Result, SendOptions, Transport,
    WebhookEndpoint,
};
use webhooks_delivery::Settings;
use webhooks_storage_memory::MemoryStorage;
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::remote_storage::RemoteStorage;
use crate::support::*;

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Looks, at the start of every request, whether what it carries is leased.
#[derive(Debug)]
struct Watched {
    inner: Arc<ScriptedTransport>,
    storage: Arc<MemoryStorage>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    async fn look(&self, attempt: &Attempt<'_>) {
        let mut queries = Vec::new();
        if attempt.event_type == BATCH_EVENT {
            let body: Value = serde_json::from_slice(attempt.body).unwrap();
            for event in body["data"]["events"].as_array().unwrap() {
                let id: EventId = event["id"].as_str().unwrap().parse().unwrap();
                queries.push((Some(id), None));
            }
        } else {
            queries.push((None, Some(attempt.delivery_id)));
        }
        for (event_id, id) in queries {
            let query = DeliveryQuery {
                ids: id.map(|id| vec![id]),
                event_id,
                endpoint_ids: Some(vec![attempt.endpoint.id.as_str().into()]),
                ..Default::default()
            };
            let page = self.storage.deliveries(&query).await.unwrap();
            let state = page.items.first().map(|record| record.state);
            if state != Some(DeliveryState::Leased) {
                let text = format!("{:?} {:?} starts as {state:?}", event_id, id);
                self.wrong.lock().unwrap().push(text);
            }
        }
    }
}

#[async_trait]
impl Transport for Watched {
    fn check(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        self.inner.check(endpoint)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        self.look(attempt).await;
        self.inner.send(attempt).await
    }

    fn forget(&self, endpoint_id: &str) {
        self.inner.forget(endpoint_id);
    }
}

/// How one endpoint answers, by chance.
fn temper(rng: &mut Rng) -> impl Fn(&mut Rng) -> Reply + Send + Sync + use<> {
    let (good, slow, kind) = (rng.u32(0..=100), rng.u64(1..3_000), rng.u32(0..10));
    move |rng| {
        if rng.u32(0..100) < good {
            return Reply::Slow(millis(rng.u64(1..=slow)), 200);
        }
        match (kind, rng.u32(0..10)) {
            (0..3, _) => Reply::Slow(millis(slow), 500),
            (3, 0..8) | (_, 0) => Reply::Hang,
            (4, _) | (_, 1) => Reply::RetryAfter(429, millis(rng.u64(1..20_000))),
            (5, _) | (_, 2) => Reply::Status(400),
            (6, 3) => Reply::Status(410),
            (7, 3..6) => Reply::Status(413),
            (_, 3..6) => Reply::Fail(FailureKind::Connect),
            _ => Reply::Slow(millis(slow), 503),
        }
    }
}

fn script(rng: &mut Rng) -> impl Fn(&Call) -> Reply + Send + Sync + use<> {
    let tempers = IDS.map(|_| temper(rng));
    let rng = Mutex::new(rng.fork());
    move |call| {
        let n = IDS.iter().position(|id| *id == call.endpoint_id).unwrap();
        tempers[n](&mut rng.lock().unwrap())
    }
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        retry_strategy: every(millis(rng.u64(1..5_000)), rng.u32(0..6)),
        rate_limit: rng.bool().then(|| rate(rng)),
        timeout: secs(rng.u64(1..20)),
        workers: rng.usize(1..4),
        max_in_flight: rng.usize(1..40),
        max_in_flight_per_endpoint: rng.usize(1..20),
        auto_disable_after: rng.bool().then(|| secs(rng.u64(5..300))),
        ..Default::default()
    }
}

fn rate(rng: &mut Rng) -> RateLimitConfig {
    RateLimitConfig {
        requests_per_second: rng.u32(1..50),
        burst_size: rng.u32(1..20),
    }
}

fn circuit(rng: &mut Rng) -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        failure_threshold: rng.u32(1..10),
        success_threshold: rng.u32(1..4),
        timeout_seconds: rng.u64(1..30),
        half_open_max_requests: rng.u32(1..4),
    }
}

fn random_endpoint(rng: &mut Rng, id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        rate_limit: (rng.u32(0..4) == 0).then(|| rate(rng)),
        batch: (rng.u32(0..3) == 0).then(|| BatchConfig {
            max_events: rng.u32(1..8),
            max_wait_ms: rng.u64(0..2_000),
            max_bytes: rng.usize(1..2_000),
        }),
        tenant: (rng.u32(0..5) == 0).then(|| "t".into()),
        ..endpoint(id)
    }
}

/// One run.
struct Soak {
    rng: Rng,
    storage: Arc<MemoryStorage>,
    /// How far off the storage is, in milliseconds.
    way: u64,
    transport: Arc<ScriptedTransport>,
    wrong: Arc<Mutex<Vec<String>>>,
    circuit: CircuitBreakerConfig,
    settings: Settings,
    nodes: Vec<Node>,
    sent: BTreeSet<DeliveryId>,
}

impl Soak {
    async fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let transport = ScriptedTransport::new(script(&mut rng));
        let mut soak = Self {
            storage: storage(),
            way: [0, 1, 40][rng.usize(0..3)],
            transport,
            wrong: Arc::default(),
            circuit: circuit(&mut rng),
            settings: settings(&mut rng),
            nodes: Vec::new(),
            sent: BTreeSet::new(),
            rng,
        };
        soak.start_node();
        for id in IDS {
            let endpoint = random_endpoint(&mut soak.rng, id);
            soak.nodes[0].add(endpoint).await;
        }
        soak
    }

    fn start_node(&mut self) {
        let watched = Arc::new(Watched {
            inner: self.transport.clone(),
            storage: self.storage.clone(),
            wrong: self.wrong.clone(),
        });
        let way: Arc<dyn WebhookStorage> = match self.way {
            0 => self.storage.clone(),
            way => RemoteStorage::new(&self.storage, millis(way)),
        };
        let (scripted, settings) = (&self.transport, self.settings.clone());
        let node = Node::over(
            way,
            &self.storage,
            watched,
            scripted,
            self.circuit,
            settings,
        );
        self.nodes.push(node);
    }

    async fn step(&mut self) {
        let id = IDS[self.rng.usize(0..IDS.len())];
        let node = &self.nodes[self.rng.usize(0..self.nodes.len())];
        match self.rng.u32(0..100) {
            0..60 => self.send().await,
            60..64 => node.change(id, GateChange::Pause).await,
            64..72 => node.change(id, GateChange::Resume).await,
            72..74 => {
                node.change(id, GateChange::Disable(DisabledBy::Operator))
                    .await
            }
            74..80 => node.change(id, GateChange::Enable).await,
            80..82 => {
                let now = node.pipeline.now();
                let deleted = self.storage.delete_endpoint(id, Expected::Any, now).await;
                assert_ne!(deleted.unwrap(), Deleted::Conflict);
            }
            82..86 => {
                let endpoint = random_endpoint(&mut self.rng, id);
                node.add(endpoint).await;
            }
            86..92 => {
                let changes = [Change::Replay, Change::Cancel, Change::Purge, Change::Erase];
                let change = changes[self.rng.usize(0..4)];
                let limit = self.rng.usize(1..5);
                self.change(change, limit).await;
            }
            92..94 if self.nodes.len() < 3 => self.start_node(),
            94..96 if self.nodes.len() > 1 => drop(self.nodes.pop()),
            96 if self.nodes.len() > 1 => {
                let node = self.nodes.remove(0);
                node.pipeline
                    .shut_down(millis(self.rng.u64(0..3_000)))
                    .await;
            }
            97 => {
                let now = node.pipeline.now();
                let retention = Retention::default();
                self.storage.sweep(&retention, 1_000, now).await.unwrap();
            }
            _ => tokio::time::sleep(millis(self.rng.u64(1..10_000))).await,
        }
        if self.rng.u32(0..3) == 0 {
            tokio::time::sleep(millis(self.rng.u64(0..500))).await;
        }
        assert_balanced(&self.storage.counts(None).await.unwrap());
    }

    async fn send(&mut self) {
        let node = &self.nodes[self.rng.usize(0..self.nodes.len())];
        let key = self.rng.u32(0..40).to_string();
        let levels = [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Critical,
        ];
        let send = SendOptions {
            priority: levels[self.rng.usize(0..4)],
            delay: millis([0, 0, 0, 0, self.rng.u64(0..20_000)][self.rng.usize(0..5)]),
            idempotency_key: (self.rng.u32(0..5) == 0).then_some(&key),
            tenant: self.rng.bool().then_some("t"),
            ..outgoing(None)
        };
        for _ in 0..self.rng.usize(1..15) {
            let sent = node.send(&send).await.unwrap();
            self.sent.extend(sent.delivery_ids);
        }
    }

    async fn change(&self, change: Change, limit: usize) {
        let now = self.nodes[0].pipeline.now();
        let query = DeliveryQuery::default();
        self.storage
            .change(&query, change, limit, now)
            .await
            .unwrap();
        self.nodes[0].pipeline.look_for_work();
    }

    /// Heals everything and sees the end of what waits.
    async fn settle(&mut self) {
        self.transport.follow(|_| Reply::Slow(millis(10), 200));
        for id in IDS {
            self.nodes[0].change(id, GateChange::Resume).await;
            self.nodes[0].change(id, GateChange::Enable).await;
        }
        assert!(
            self.nodes[0].drain(secs(3_600)).await,
            "all arrive in the end"
        );
        let counts = self.storage.counts(None).await.unwrap();
        assert_balanced(&counts);
        assert_eq!(counts.waiting(), 0, "{counts:?}");
        assert_eq!(counts.enqueued, self.sent.len() as u64, "{counts:?}");
        for id in IDS {
            assert_balanced(&self.storage.counts(Some(id)).await.unwrap());
        }
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new());
        for node in &self.nodes {
            let alone = node.pipeline.endpoints();
            for record in alone {
                let (_, _, in_flight) = node
                    .pipeline
                    .endpoint_attempts(&record.endpoint.id)
                    .unwrap();
                assert_eq!(in_flight, 0);
            }
        }
        self.nodes[0].add(endpoint("a")).await;
        self.nodes[0].send_to("a").await;
        assert!(self.nodes[0].drain(secs(60)).await, "it works as ever");
    }
}

async fn run(seed: u64) {
    let mut soak = Soak::new(seed).await;
    for _ in 0..100 {
        soak.step().await;
    }
    soak.settle().await;
}

#[test]
fn whatever_happens_every_delivery_has_one_place_and_ends_once() {
    let from_env = |name: &str| std::env::var(name).ok()?.parse().ok();
    let first = from_env("WEBHOOKS_SOAK_SEED").unwrap_or(1);
    let runs = from_env("WEBHOOKS_SOAK_RUNS").unwrap_or(12);
    for seed in first..first + runs {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let ran = std::panic::AssertUnwindSafe(|| runtime.block_on(run(seed)));
        if let Err(panic) = std::panic::catch_unwind(ran) {
            eprintln!("seed {seed}: run it alone with WEBHOOKS_SOAK_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

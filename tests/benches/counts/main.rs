//! What `cargo xtask counts` runs and watches: so many deliveries through a whole system, sent by 64
//! tasks, from `send` to settled. It prints the allocations of each; the system calls and the locks
//! are counted from outside.
//!
//! `counts one|fan_out DELIVERIES` answers in this process, without a socket; `counts http
//! DELIVERIES URL` sends with the engine.
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{NetworkPolicy, WebhookSystem};
use bytes::Bytes;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::task::JoinSet;
use webhooks_core::{
    Attempt, CircuitBreakerConfig, DeliveryResult, Outcome, SendOptions, Transport, WebhookEndpoint,
};
use webhooks_delivery::{Pipeline, Settings};
use webhooks_resilience::ResilienceAdmission;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tasks that send at the same time, and requests in flight to one endpoint.
const SENDERS: usize = 64;
/// Deliveries before anything is counted: what is kept for long is then there.
const BEFORE: usize = 1_000;
/// Makes envelopes of about 300 bytes.
const PADDING: &str = match std::str::from_utf8(&[b'x'; 150]) {
    Ok(text) => text,
    Err(_) => "",
};
const DEADLINE: Duration = Duration::from_secs(600);

fn main() -> Result {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (shape, way, count) = match *arguments {
        ["one", count] => (Shape::ONE, None, count),
        ["fan_out", count] => (Shape::FAN_OUT, None, count),
        ["http", count, url] => (Shape::ONE, Some(url), count),
        _ => return Err("run `cargo xtask counts`".into()),
    };
    let count = count.parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let way = Arc::new(Way::new(&shape, way).await?);
        send(&way, &shape, BEFORE).await?;
        let region = Region::new(ALLOCATOR);
        send(&way, &shape, count).await?;
        let used = region.change();
        let each = |number: usize| number as f64 / count as f64;
        println!("allocations {:.2}", each(used.allocations));
        println!("reallocations {:.2}", each(used.reallocations));
        println!("bytes {:.0}", each(used.bytes_allocated));
        Ok(())
    })
}

/// What is sent; nothing of it is allocated.
#[derive(Serialize)]
struct Data {
    padding: &'static str,
}

/// How many endpoints, and how many of them an event goes to.
struct Shape {
    endpoints: usize,
    fan_out: usize,
}

impl Shape {
    const ONE: Self = Self {
        endpoints: 1,
        fan_out: 1,
    };
    const FAN_OUT: Self = Self {
        endpoints: 1_000,
        fan_out: 10,
    };

    /// The type of the event that this endpoint takes, or the sender's event of this number.
    fn event_type(&self, number: usize) -> String {
        format!("user.created.{}", number % (self.endpoints / self.fan_out))
    }
}

/// A whole system on the memory storage.
struct Way {
    storage: Arc<MemoryStorage>,
    transport: With,
}

enum With {
    AnswersAtOnce(Box<Pipeline>),
    Engine(WebhookSystem),
}

impl Way {
    async fn new(shape: &Shape, url: Option<&str>) -> Result<Self> {
        let storage = Arc::new(MemoryStorage::new());
        for number in 0..shape.endpoints {
            let endpoint = WebhookEndpoint {
                id: format!("endpoint_{number}"),
                url: url.unwrap_or("https://hooks.example.com/").into(),
                secret: "secret".into(),
                events: vec![shape.event_type(number)],
                ..Default::default()
            };
            storage.save_endpoint(&endpoint).await?;
        }
        let transport = if url.is_some() {
            let system = WebhookSystem::builder()
                .network_policy(NetworkPolicy::permissive())
                .max_in_flight_per_endpoint(SENDERS)
                .build(storage.clone());
            With::Engine(system)
        } else {
            let settings = Settings {
                max_in_flight_per_endpoint: SENDERS,
                ..Settings::default()
            };
            let gate = Arc::new(ResilienceAdmission::new(CircuitBreakerConfig::default()));
            let transport = |_| Ok(Arc::new(AnswersAtOnce) as Arc<dyn Transport>);
            let pipeline = Pipeline::start(storage.clone(), transport, gate, settings)?;
            With::AnswersAtOnce(Box::new(pipeline))
        };
        Ok(Self { storage, transport })
    }

    async fn send(&self, event_type: &str) -> Result {
        let data = Data { padding: PADDING };
        match &self.transport {
            With::AnswersAtOnce(pipeline) => {
                drop(pipeline.send(&SendOptions::new(event_type), &data).await?);
            }
            With::Engine(system) => drop(system.send_webhook(event_type, data).await?),
        }
        Ok(())
    }

    async fn drain(&self) -> Result<bool> {
        Ok(match &self.transport {
            With::AnswersAtOnce(pipeline) => pipeline.drain(DEADLINE).await?,
            With::Engine(system) => system.drain(DEADLINE).await?,
        })
    }

    async fn delivered(&self) -> Result<u64> {
        Ok(self.storage.counts(None).await?.delivered)
    }
}

/// Sends so many from 64 tasks, and waits until all are settled.
async fn send(way: &Arc<Way>, shape: &Shape, deliveries: usize) -> Result {
    let types: Arc<[String]> = (0..shape.endpoints / shape.fan_out)
        .map(|number| shape.event_type(number))
        .collect();
    let before = way.delivered().await?;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (way, types) = (way.clone(), types.clone());
        let events = (sender..deliveries / shape.fan_out).step_by(SENDERS);
        senders.spawn(async move {
            for event in events {
                let event_type = types.get(event % types.len()).ok_or("no type")?;
                way.send(event_type).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    if !way.drain().await? {
        return Err("not everything was delivered in time".into());
    }
    let delivered = way.delivered().await? - before;
    if delivered != u64::try_from(deliveries)? {
        return Err(format!("{delivered} of {deliveries} were delivered").into());
    }
    Ok(())
}

/// Delivers everything, as soon as somebody else had a turn: no real request ends within the poll
/// that starts it.
#[derive(Debug)]
struct AnswersAtOnce;

#[async_trait]
impl Transport for AnswersAtOnce {
    fn check(&self, _: &WebhookEndpoint) -> webhooks_core::Result<()> {
        Ok(())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> webhooks_core::Result<DeliveryResult> {
        tokio::task::yield_now().await;
        Ok(DeliveryResult {
            outcome: Outcome::Delivered,
            status: Some(204),
            started_at: attempt.now,
            duration: Duration::from_millis(1),
            retry_after: None,
            response: Bytes::new(),
            response_headers: Vec::new(),
        })
    }

    fn forget(&self, _: &str) {}
}

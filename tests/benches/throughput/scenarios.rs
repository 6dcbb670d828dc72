//! What is measured against the limit.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{NetworkPolicy, WebhookEndpoint, WebhookError, WebhookSystem};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::measure::{Figure, Stopwatch};

const EVENTS: usize = 100_000;
const SENDERS: usize = 64;
const ENDPOINTS: usize = 1_000;
const FAN_OUT: usize = 10;
/// Makes envelopes of about 300 bytes.
const DATA_BYTES: usize = 150;

/// 64 tasks send to one endpoint, from memory.
pub(crate) async fn one_endpoint(url: &str) -> Result<Figure, Box<dyn Error>> {
    let system = system(Arc::new(MemoryStorage::new()));
    register(&system, url, "endpoint", "user.created").await?;
    send(&system, EVENTS, 1).await
}

/// Every event goes to 10 of 1,000 endpoints.
pub(crate) async fn fan_out(url: &str) -> Result<Figure, Box<dyn Error>> {
    let system = system(Arc::new(MemoryStorage::new()));
    for n in 0..ENDPOINTS {
        let event = format!("user.created.{}", n % (ENDPOINTS / FAN_OUT));
        register(&system, url, &format!("endpoint_{n}"), &event).await?;
    }
    send(&system, EVENTS / FAN_OUT, FAN_OUT).await
}

/// From `send_webhook` called to the answer settled, 50 a second for 5 s.
pub(crate) async fn latency(url: &str) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let system = system(Arc::new(MemoryStorage::new()));
    register(&system, url, "endpoint", "user.created").await?;
    let mut notices = system.notices()?;
    let data = data()?;
    let mut latencies = Vec::new();
    for _ in 0..250 {
        let started = Instant::now();
        system.send_webhook("user.created", &*data).await?;
        notices.next().await;
        latencies.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    latencies.sort_unstable();
    let at = |part: usize| {
        latencies
            .get(latencies.len() * part / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok(vec![(
        "memory, to settled",
        format!("p50 {:?}, p99 {:?}", at(50), at(99)),
    )])
}

fn system(storage: Arc<dyn WebhookStorage>) -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .max_in_flight_per_endpoint(64)
        .build(storage)
}

async fn register(
    system: &WebhookSystem,
    url: &str,
    id: &str,
    event: &str,
) -> Result<(), WebhookError> {
    let endpoint = WebhookEndpoint {
        id: id.into(),
        url: url.into(),
        secret: "secret".into(),
        events: vec![event.into()],
        ..Default::default()
    };
    system.register_endpoint(endpoint).await
}

fn data() -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(format!("{{\"padding\":\"{}\"}}", "x".repeat(DATA_BYTES)))
}

/// Sends from 64 tasks, and waits until everything is settled.
async fn send(
    system: &WebhookSystem,
    events: usize,
    fan_out: usize,
) -> Result<Figure, Box<dyn Error>> {
    let data: Arc<RawValue> = data()?.into();
    let types: Arc<[String]> = match fan_out {
        1 => [String::from("user.created")].into(),
        _ => (0..ENDPOINTS / fan_out)
            .map(|n| format!("user.created.{n}"))
            .collect(),
    };
    let mut senders = JoinSet::new();
    let watch = Stopwatch::start()?;
    for sender in 0..SENDERS {
        let (system, data, types) = (system.clone(), data.clone(), types.clone());
        senders.spawn(async move {
            let of_turn = types.iter().cycle().skip(sender);
            for (_, event) in (sender..events).step_by(SENDERS).zip(of_turn) {
                system.send_webhook(event, &*data).await?;
            }
            Ok::<_, WebhookError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    if !system.drain(Duration::from_secs(60)).await? {
        return Err("not everything was delivered".into());
    }
    let figure = watch.end(events * fan_out)?;
    let metrics = system.get_metrics().await?;
    if metrics.successful_deliveries != u64::try_from(events * fan_out)? {
        return Err(format!("not everything was delivered: {metrics:?}").into());
    }
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(figure)
}

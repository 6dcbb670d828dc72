//! 50 endpoints, of which 5 hang for ever, 5 refuse connections and 5 answer 500: how fast do the
//! healthy 35 get their events, against the same 35 alone?
//!
//! `cargo run --release -p webhooks-tests --example isolation`
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

use std::error::Error;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{NetworkPolicy, WebhookEndpoint, WebhookError, WebhookSystem};
use serde_json::json;
use tokio::time::Instant;
use webhooks_tests::{Answer, Sink};

const EVENTS: usize = 100_000;
const ENDPOINTS: usize = 50;
const HEALTHY: usize = 35;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for round in 1..=3 {
        let alone = run(HEALTHY).await?;
        let among = run(ENDPOINTS).await?;
        println!(
            "round {round}: alone {alone:.0}/s, among failing {among:.0}/s: {:.2}",
            among / alone
        );
    }
    Ok(())
}

/// Sends to the first `endpoints` of them; the rate at which the healthy ones got everything.
async fn run(endpoints: usize) -> Result<f64, Box<dyn Error>> {
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    let mut sinks = Vec::new();
    for n in 0..endpoints {
        sinks.push(register(&system, n).await?);
    }
    let started = Instant::now();
    let each = EVENTS / ENDPOINTS;
    send(&system, endpoints, each).await?;
    sinks.truncate(HEALTHY);
    while sinks.iter().any(|sink| sink.count() < each) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if started.elapsed() > Duration::from_secs(120) {
            return Err("not everything arrived".into());
        }
    }
    let took = started.elapsed();
    if sinks.iter().any(|sink| sink.count() > each) {
        return Err("something arrived twice".into());
    }
    let counts = system.get_metrics().await?.counts;
    println!("  {endpoints} endpoints: arrived in {took:?}, {counts:?}");
    system.shutdown(Duration::from_millis(100)).await?;
    #[expect(clippy::cast_precision_loss, reason = "a hundred thousand")]
    Ok((each * HEALTHY) as f64 / took.as_secs_f64())
}

async fn register(system: &WebhookSystem, n: usize) -> Result<Sink, Box<dyn Error>> {
    let answer = match n {
        0..HEALTHY => Answer::Status(204),
        35..40 => Answer::Hang,
        _ => Answer::Status(500),
    };
    let sink = Sink::start(answer).await;
    let url = if (40..45).contains(&n) {
        "http://127.0.0.1:1/".into()
    } else {
        sink.url()
    };
    system
        .register_endpoint(WebhookEndpoint {
            id: format!("endpoint_{n}"),
            url,
            secret: "secret".into(),
            events: vec![format!("event.{n}")],
            ..Default::default()
        })
        .await?;
    Ok(sink)
}

/// Sends `each` events to every endpoint, from 8 tasks.
async fn send(system: &WebhookSystem, endpoints: usize, each: usize) -> Result<(), Box<dyn Error>> {
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..8 {
        let system = system.clone();
        senders.spawn(async move {
            for n in (sender..each).step_by(8) {
                for endpoint in 0..endpoints {
                    let data = json!({ "number": n, "padding": "x".repeat(150) });
                    system
                        .send_webhook(&format!("event.{endpoint}"), data)
                        .await?;
                }
            }
            Ok::<_, WebhookError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

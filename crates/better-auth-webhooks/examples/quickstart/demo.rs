//! Four receivers, a few hundred events, and what became of them.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, SqliteStorage};
use better_auth_webhooks::{
    CircuitBreakerConfig, EndpointMetrics, NetworkPolicy, RetryStrategy, WebhookEndpoint,
    WebhookSystem,
};
use serde_json::json;
use tokio::time::Instant;

use crate::receivers::{Behaviour, Receiver};

/// Name, behaviour, event type, and how many events of it are sent.
const PLAN: [(&str, Behaviour, &str, usize); 4] = [
    ("healthy", Behaviour::Healthy, "user.created", 300),
    ("fails-twice", Behaviour::FailsTwice, "order.paid", 60),
    ("broken", Behaviour::Broken, "invoice.sent", 6),
    ("slow", Behaviour::Slow, "report.ready", 60),
];

const SECRET: &str = "whsec_an_example_and_no_secret";
const PATIENCE: Duration = Duration::from_secs(15);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub(crate) async fn run(database: &Path) -> Outcome<bool> {
    let started = Instant::now();
    // Private addresses and plain http are refused unless they are allowed by name.
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 3,
            initial_delay_ms: 100,
            max_delay_ms: 1_000,
            backoff_multiplier: 2.0,
        })
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 10,
            success_threshold: 2,
            timeout_seconds: 1,
            half_open_max_requests: 3,
        })
        .build(SqliteStorage::open(database).await?);

    let receivers = register(&system).await?;
    send(&system).await?;
    settle(&system, "sending").await?;
    println!(
        "\nsent and settled in {:.1} s\n",
        started.elapsed().as_secs_f64()
    );
    let first = table(&system, &receivers).await?;
    let dead = dead_letters(&system).await?;

    println!("\nmending the broken receiver, and replaying its dead letters");
    for (receiver, _) in receivers
        .iter()
        .zip(PLAN)
        .filter(|(_, plan)| plan.0 == "broken")
    {
        receiver.mend();
    }
    let replayed = system
        .dead_letters()
        .replay_all(&DeliveryQuery::default())
        .await?;
    settle(&system, "replaying").await?;
    println!("\nreplayed {replayed}\n");
    let second = table(&system, &receivers).await?;
    let left = dead_letters(&system).await?;

    let broken = PLAN
        .iter()
        .filter(|plan| plan.0 == "broken")
        .map(|plan| plan.3)
        .sum::<usize>();
    let good = first && second && dead == broken && replayed == broken && left == 0;
    system.shutdown(Duration::from_secs(5)).await?;
    let verdict = if good {
        "every count is as it should be"
    } else {
        "A COUNT IS WRONG"
    };
    println!(
        "\n{verdict} ({:.1} s in all)",
        started.elapsed().as_secs_f64()
    );
    Ok(good)
}

async fn register(system: &WebhookSystem) -> Outcome<Vec<Receiver>> {
    let mut receivers = Vec::new();
    for (name, behaviour, event, _) in PLAN {
        let receiver = Receiver::start(behaviour, SECRET).await?;
        system
            .register_endpoint(WebhookEndpoint {
                id: name.to_string(),
                url: receiver.url.clone(),
                secret: SECRET.to_string(),
                events: vec![event.to_string()],
                ..Default::default()
            })
            .await?;
        receivers.push(receiver);
    }
    Ok(receivers)
}

async fn send(system: &WebhookSystem) -> Outcome {
    for (_, _, event, count) in PLAN {
        for n in 0..count {
            system.send_webhook(event, json!({ "number": n })).await?;
        }
    }
    Ok(())
}

/// Waits until everything has arrived or was given up, and shows how it goes.
async fn settle(system: &WebhookSystem, what: &str) -> Outcome {
    let until = Instant::now() + PATIENCE;
    // Progress that overwrites itself is for a terminal; a log gets one line.
    let live = std::io::stdout().is_terminal();
    loop {
        let done = system.drain(Duration::from_millis(200)).await?;
        let counts = system.get_metrics().await?.counts;
        if live || done {
            print!(
                "{}{what}: {} sent, {} delivered, {} waiting, {} dead   ",
                if live { "\r" } else { "" },
                counts.enqueued,
                counts.delivered,
                counts.waiting(),
                counts.dead
            );
            std::io::stdout().flush()?;
        }
        if done {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("still {} waiting after {PATIENCE:?}", counts.waiting()).into());
        }
    }
}

/// Prints a line per endpoint; whether its counts and its receiver's agree.
async fn table(system: &WebhookSystem, receivers: &[Receiver]) -> Outcome<bool> {
    println!(
        "{:<12} {:>5} {:>9} {:>7} {:>5} {:>9} {:>9}  circuit",
        "endpoint", "sent", "delivered", "retried", "dead", "p50", "p99"
    );
    let mut good = true;
    for ((name, _, _, count), receiver) in PLAN.into_iter().zip(receivers) {
        let EndpointMetrics {
            counts,
            attempts,
            circuit,
            ..
        } = system.endpoint_metrics(name).await?;
        println!(
            "{name:<12} {:>5} {:>9} {:>7} {:>5} {:>9} {:>9}  {:?}",
            counts.enqueued,
            counts.delivered,
            attempts.retried,
            counts.dead,
            latency(attempts.p50_ms),
            latency(attempts.p99_ms),
            circuit.state
        );
        good &= counts.enqueued == u64::try_from(count)?
            && counts.delivered + counts.dead == counts.enqueued
            && counts.delivered == u64::try_from(receiver.accepted())?;
    }
    Ok(good)
}

/// A latency in the unit in which it can be read.
fn latency(ms: f64) -> String {
    match ms {
        0.0 => "-".to_string(),
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1_000.0),
        ms => format!("{ms:.1} ms"),
    }
}

/// Prints the dead letters; how many there are.
async fn dead_letters(system: &WebhookSystem) -> Outcome<usize> {
    let page = system
        .dead_letters()
        .list(&DeliveryQuery::default())
        .await?;
    println!("\n{} dead letters", page.items.len());
    for letter in &page.items {
        println!(
            "  {} {} to {}: {}, last response {:?}",
            letter.delivery.id,
            letter.delivery.event.event_type,
            letter.delivery.endpoint_id,
            letter.dead_reason.map_or("", |reason| reason.as_str()),
            letter.attempts.last().and_then(|attempt| attempt.status),
        );
    }
    Ok(page.items.len())
}

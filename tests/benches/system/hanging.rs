//! Row 10: what one endpoint of a hundred that never answers, with half a million deliveries
//! waiting for it, costs the other 99.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::{NetworkPolicy, WebhookSystem};

use crate::Result;
use crate::backlog_rows::fill_one;
use crate::database::{Database, Servers};
use crate::load::{SENDERS, endpoint, send, send_slowly};
use crate::measure::median;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;

const ROUNDS: usize = 3;
const HEALTHY: usize = 99;
const EVENTS: usize = 10_000;
const PER_SECOND: u32 = 400;
const SLOW_EVENTS: usize = 1_200;
/// The namespaces, and what waits for the endpoint that hangs.
const WAITING: [(&str, usize); 2] = [("calm", 0), ("hanging", 500_000)];

/// What the healthy ones got.
#[derive(Clone, Copy)]
struct Got {
    rate: f64,
    p99_ms: f64,
}

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let database = Database::Postgres;
    let mut storages = Vec::new();
    for (namespace, waiting) in WAITING {
        let storage = database.connect(database.url(servers), namespace).await?;
        for n in 0..HEALTHY {
            let endpoint = endpoint(&format!("endpoint_{n}"), &sink.url(), &format!("event.{n}"));
            storage.save_endpoint(&endpoint).await?;
        }
        if waiting > 0 {
            // It wants what fills it: what it does not take would be cancelled.
            let hanging = endpoint("hanging", &sink.hanging_url(), "user.created");
            storage.save_endpoint(&hanging).await?;
            fill_one(database, servers, namespace, &storage, "hanging", waiting).await?;
        }
        storages.push((storage, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (storage, got) in &mut storages {
            got.push(healthy(storage, sink).await?);
        }
    }
    let of = |runs: &[Got], each: fn(&Got) -> f64| median(runs.iter().map(each));
    let [(_, calm), (_, beside)] = storages.as_slice() else {
        return Err("there are two namespaces".into());
    };
    report.figure(
        "PostgreSQL, 99 endpoints alone",
        of(calm, |got| got.rate),
        "/s",
    );
    report.figure(
        "PostgreSQL, 99 endpoints alone, 400/s, p99",
        of(calm, |got| got.p99_ms),
        "ms",
    );
    let row = "PostgreSQL, rate of 99 endpoints beside one that hangs";
    let ratio = of(beside, |got| got.rate) / of(calm, |got| got.rate);
    report.row(10, row, ratio, "times", Target::AtLeast(0.95));
    let row = "PostgreSQL, p99 of 99 endpoints beside one that hangs, 400/s";
    let ratio = of(beside, |got| got.p99_ms) / of(calm, |got| got.p99_ms);
    report.row(10, row, ratio, "times", Target::AtMost(2.0));
    database
        .clear(servers, &WAITING.map(|(namespace, _)| namespace))
        .await
}

/// The rate of the 99 when much is sent, and how late events arrive when little is.
async fn healthy(storage: &Arc<dyn WebhookStorage>, sink: &SinkProcess) -> Result<Got> {
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage.clone());
    let types: Arc<[String]> = (0..HEALTHY).map(|n| format!("event.{n}")).collect();
    system.list_endpoints().await?;
    sink.take()?;
    send(&system, &types, EVENTS, SENDERS).await?;
    let rate = sink.wait_for(EVENTS).await?.rate;
    send_slowly(&system, &types, SLOW_EVENTS, PER_SECOND).await?;
    let p99_ms = sink.wait_for(SLOW_EVENTS).await?.p99_ms;
    system.shutdown(Duration::from_millis(100)).await?;
    Ok(Got { rate, p99_ms })
}

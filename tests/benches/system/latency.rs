//! Row 7: from `send_webhook` called to the request received, 50 a second.

use std::time::Duration;

use better_auth_webhooks::{NetworkPolicy, WebhookSystem};

use crate::Result;
use crate::database::{Database, Servers};
use crate::load::{endpoint, send_slowly};
use crate::report::{Report, Target};
use crate::sink_process::{Arrivals, SinkProcess};

const PER_SECOND: u32 = 50;
const EVENTS: usize = 500;
const NAMESPACE: &str = "latency";

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let mut all = Vec::new();
    for database in Database::ALL {
        all.push(latency(database, servers, sink).await?);
    }
    let [memory, sqlite, postgres, redis] = all.as_slice() else {
        return Err("there are four storages".into());
    };
    report.figure("memory, latency, p99", memory.p99_ms, "ms");
    report.figure("SQLite, latency, p50", sqlite.p50_ms, "ms");
    report.figure("SQLite, latency, p99", sqlite.p99_ms, "ms");
    report.figure("Redis, latency, p50", redis.p50_ms, "ms");
    report.figure("Redis, latency, p99", redis.p99_ms, "ms");
    let row = "memory, latency from send_webhook to received, 50/s, p50";
    report.row(7, row, memory.p50_ms, "ms", Target::AtMost(0.4));
    let row = "PostgreSQL, latency from send_webhook to received, 50/s, p50";
    report.row(7, row, postgres.p50_ms, "ms", Target::AtMost(1.5));
    let row = "PostgreSQL, latency from send_webhook to received, 50/s, p99";
    report.row(7, row, postgres.p99_ms, "ms", Target::AtMost(4.0));
    let row = "SQLite, latency from send_webhook to received, 50/s, p50";
    let ratio = sqlite.p50_ms / postgres.p50_ms;
    report.row(7, row, ratio, "of PostgreSQL", Target::AtMost(1.5));
    Ok(())
}

async fn latency(database: Database, servers: &Servers, sink: &SinkProcess) -> Result<Arrivals> {
    let url = database.url(servers);
    let storage = database.connect(url, NAMESPACE).await?;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage);
    let endpoint = endpoint("endpoint_1", &sink.url(), "user.created");
    system.register_endpoint(endpoint).await?;
    sink.take()?;
    send_slowly(&system, &["user.created".into()], EVENTS, PER_SECOND).await?;
    let arrivals = sink.wait_for(EVENTS).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    drop(system);
    database.clear(servers, &[NAMESPACE]).await?;
    Ok(arrivals)
}

//! Row 7: from `send_webhook` called to the request received, 50 a second.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{NetworkPolicy, WebhookSystem};

use crate::Result;
use crate::database::{Database, Servers};
use crate::load::{endpoint, send_slowly};
use crate::report::{Report, Target};
use crate::sink_process::{Arrivals, SinkProcess};

const PER_SECOND: u32 = 50;
const EVENTS: usize = 500;

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let memory = latency(Arc::new(MemoryStorage::new()), sink).await?;
    let storage = Database::Postgres
        .connect(&servers.postgres, "latency")
        .await?;
    let postgres = latency(storage, sink).await?;
    let storage = Database::Redis.connect(&servers.redis, "latency").await?;
    let redis = latency(storage, sink).await?;
    report.figure("memory, latency, p99", memory.p99_ms, "ms");
    report.figure("Redis, latency, p50", redis.p50_ms, "ms");
    report.figure("Redis, latency, p99", redis.p99_ms, "ms");
    let row = "memory, latency from send_webhook to received, 50/s, p50";
    report.row(7, row, memory.p50_ms, "ms", Target::AtMost(0.4));
    let row = "PostgreSQL, latency from send_webhook to received, 50/s, p50";
    report.row(7, row, postgres.p50_ms, "ms", Target::AtMost(1.5));
    let row = "PostgreSQL, latency from send_webhook to received, 50/s, p99";
    report.row(7, row, postgres.p99_ms, "ms", Target::AtMost(4.0));
    Database::Redis.clear(servers, &[]).await?;
    Database::Postgres.clear(servers, &["latency"]).await
}

async fn latency(storage: Arc<dyn WebhookStorage>, sink: &SinkProcess) -> Result<Arrivals> {
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage);
    let endpoint = endpoint("endpoint_1", &sink.url(), "user.created");
    system.register_endpoint(endpoint).await?;
    sink.take()?;
    send_slowly(&system, &["user.created".into()], EVENTS, PER_SECOND).await?;
    let arrivals = sink.wait_for(EVENTS).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(arrivals)
}

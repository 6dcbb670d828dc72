//! What deliveries cost a Redis Cluster of one, two and three masters. They share the cores of this
//! machine, so that these are figures without a target.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::RedisStorage;
use fred::prelude::{Builder, Config};
use xtask::{RedisCluster, TempFolder};

use crate::Result;
use crate::load::{SENDERS, endpoint, send_to_settled, system};
use crate::measure::median;
use crate::report::Report;
use crate::sink_process::SinkProcess;

const ROUNDS: usize = 3;
const DELIVERIES: usize = 20_000;
const ENDPOINTS: usize = 64;
const PARTITIONS: usize = 16;
/// As the one server of the other parts.
const SETTINGS: &[&str] = &["--appendonly", "yes", "--appendfsync", "everysec"];

pub(crate) async fn run(sink: &SinkProcess, report: &mut Report) -> Result {
    for masters in 1..=3 {
        let (mut rates, mut used) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let folder = TempFolder::new("masters")?;
            let cluster = RedisCluster::start(folder.path(), masters, 0, SETTINGS)?;
            let before = processor(&cluster)?;
            rates.push(sent(&cluster, sink).await?);
            used.push((processor(&cluster)? - before) * 1e6 / DELIVERIES as f64);
        }
        let name = format!("Redis Cluster, masters: {masters}");
        report.figure(format!("{name}, deliveries"), median(rates), "/s");
        report.figure(format!("{name}, processor of all"), median(used), "us each");
    }
    Ok(())
}

/// The rate from 64 tasks to settled, to 64 endpoints over all partitions.
async fn sent(cluster: &RedisCluster, sink: &SinkProcess) -> Result<f64> {
    let pool = Builder::from_config(Config::from_url(&cluster.url())?).build_pool(4)?;
    let storage = RedisStorage::builder(pool).partitions(PARTITIONS);
    let system = system(Arc::new(storage.connect().await?));
    let types: Arc<[String]> = (0..ENDPOINTS).map(|n| format!("event.{n}")).collect();
    for (n, event) in types.iter().enumerate() {
        let endpoint = endpoint(&format!("endpoint_{n}"), &sink.url(), event);
        system.register_endpoint(endpoint).await?;
    }
    let reached = send_to_settled(&system, &types, DELIVERIES, 1, SENDERS).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached.rate)
}

/// The seconds of processor that all nodes have used.
fn processor(cluster: &RedisCluster) -> Result<f64> {
    let mut sum = 0.0;
    for node in 0..cluster.size() {
        for line in cluster.command(node, &["info", "cpu"])?.lines() {
            let used = line.strip_prefix("used_cpu_sys:");
            if let Some(used) = used.or_else(|| line.strip_prefix("used_cpu_user:")) {
                sum += used.trim().parse::<f64>()?;
            }
        }
    }
    Ok(sum)
}

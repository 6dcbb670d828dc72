//! Events from the call to their settlement, on any storage.

use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::database::{Database, Servers};
use crate::load::{endpoint, send_to_settled, system_for};
use crate::measure::Reached;
use crate::sink_process::SinkProcess;

/// More tasks that send than a commit of 64 needs.
pub(crate) const MANY: usize = 256;
pub(crate) const NAMESPACE: &str = "durable";
const DELIVERIES: usize = 20_000;

/// What remains of a limit if each delivery also needs its share of the other.
pub(crate) fn allowed(one: Reached, other: Reached) -> f64 {
    1.0 / (1.0 / one.rate + 1.0 / other.rate)
}

/// From so many tasks to settled, to one endpoint with as many requests in flight.
pub(crate) async fn sent(
    database: Database,
    servers: &Servers,
    sink: &SinkProcess,
    tasks: usize,
) -> Result<Reached> {
    let url = database.url(servers);
    let system = system_for(database.connect(url, NAMESPACE).await?, tasks);
    let endpoint = endpoint("endpoint_1", &sink.url(), "user.created");
    system.register_endpoint(endpoint).await?;
    let types: Arc<[String]> = [String::from("user.created")].into();
    let reached = send_to_settled(&system, &types, DELIVERIES, 1, tasks).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached)
}

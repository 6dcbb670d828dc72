//! Rows 1, 2 and 6: the way of an event without a database.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;

use crate::load::{SENDERS, endpoint, send_to_settled, system};
use crate::measure::{Reached, median_of};
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::{Result, http_limit};

const ROUNDS: usize = 5;
const DELIVERIES: usize = 50_000;
const ENDPOINTS: usize = 1_000;
const FAN_OUT: usize = 10;

pub(crate) async fn run(sink: &SinkProcess, report: &mut Report) -> Result {
    let (mut limit, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(http_limit::run(&sink.url()).await?);
        one.push(to_endpoints(&sink.url(), 1, 1).await?);
        many.push(to_endpoints(&sink.url(), ENDPOINTS, FAN_OUT).await?);
    }
    let (limit, one, many) = (median_of(&limit), median_of(&one), median_of(&many));
    for (what, reached) in [
        ("L1, bare hyper client", limit),
        ("memory, send to settled", one),
        ("memory, 1,000 endpoints, fan-out 10", many),
    ] {
        report.figure(what, reached.rate, "/s");
        report.figure(format!("{what}, processor"), reached.cpu_us, "us each");
    }
    let of_limit = |reached: Reached| reached.rate / limit.rate;
    let row = "memory, send to settled, one endpoint, 64 in flight";
    report.row(1, row, of_limit(one), "of L1", Target::AtLeast(0.80));
    let row = "memory, 1,000 endpoints, fan-out 10";
    report.row(2, row, of_limit(many), "of L1", Target::AtLeast(0.75));
    let above = one.cpu_us - limit.cpu_us;
    let row = "memory, processor time of our process above L1's client";
    report.row(6, row, above, "us each", Target::AtMost(5.0));
    Ok(())
}

/// Every event goes to `fan_out` of so many endpoints.
async fn to_endpoints(url: &str, endpoints: usize, fan_out: usize) -> Result<Reached> {
    let system = system(Arc::new(MemoryStorage::new()));
    let types: Arc<[String]> = (0..endpoints / fan_out)
        .map(|n| format!("user.created.{n}"))
        .collect();
    for (n, event) in (0..endpoints).zip(types.iter().cycle()) {
        let endpoint = endpoint(&format!("endpoint_{n}"), url, event);
        system.register_endpoint(endpoint).await?;
    }
    let reached = send_to_settled(&system, &types, DELIVERIES / fan_out, fan_out, SENDERS).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached)
}

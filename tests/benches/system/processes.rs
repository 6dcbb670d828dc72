//! Row 8: what a second process on the same database adds, or costs.

use crate::Result;
use crate::database::{Database, Servers};
use crate::load::{endpoint, fill};
use crate::measure::median;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::worker::Worker;

const ROUNDS: usize = 3;
const WAITING: usize = 30_000;
const ENDPOINTS: usize = 20;
const NAMESPACE: &str = "processes";

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(worked_off(1, servers, sink).await?);
        two.push(worked_off(2, servers, sink).await?);
    }
    let (one, two) = (median(one), median(two));
    report.figure("PostgreSQL, one worker process", one, "/s");
    report.figure("PostgreSQL, two worker processes", two, "/s");
    let row = "PostgreSQL, two worker processes against one, in total";
    report.row(8, row, two / one, "times", Target::AtLeast(1.0));
    Ok(())
}

/// The rate at which a backlog of 20 endpoints arrives, from the first request to the last.
async fn worked_off(workers: usize, servers: &Servers, sink: &SinkProcess) -> Result<f64> {
    let database = Database::Postgres;
    let storage = database.connect(&servers.postgres, NAMESPACE).await?;
    let ids: Vec<_> = (0..ENDPOINTS).map(|n| format!("endpoint_{n}")).collect();
    for id in &ids {
        let endpoint = endpoint(id, &sink.url(), "user.created");
        storage.save_endpoint(&endpoint).await?;
    }
    fill(&storage, &ids, WAITING).await?;
    sink.take()?;
    let start = |_| Worker::start(database, servers, NAMESPACE);
    let running = (0..workers).map(start).collect::<Result<Vec<_>>>()?;
    let arrivals = sink.wait_for(WAITING).await?;
    drop(running);
    drop(storage);
    database.clear(servers, &[NAMESPACE]).await?;
    if arrivals.count != u64::try_from(WAITING)? {
        return Err(format!("{} requests arrived for {WAITING}", arrivals.count).into());
    }
    Ok(arrivals.rate)
}

//! Rows 3 and 4: durable deliveries in PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use crate::database::{Database, Servers};
use crate::load::{endpoint, fill, send_to_settled, system};
use crate::measure::{Reached, Stopwatch, median_of};
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::{Result, http_limit, postgres_limit};

const ROUNDS: usize = 5;
const DELIVERIES: usize = 20_000;
const WAITING: usize = 200_000;
const NAMESPACES: [&str; 2] = ["durable", "drain"];

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let [durable, drain] = NAMESPACES;
    Database::Postgres
        .connect(&servers.postgres, durable)
        .await?;
    postgres_limit::prepare(&servers.postgres, durable).await?;
    let (mut http, mut sql, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        http.push(http_limit::run(&sink.url()).await?);
        sql.push(postgres_limit::run(&servers.postgres).await?);
        ours.push(sent(Database::Postgres, servers, durable, sink).await?);
    }
    let (http, sql, ours) = (median_of(&http), median_of(&sql), median_of(&ours));
    let allowed = allowed(http, sql);
    report.figure("L2, bare SQL", sql.rate, "/s");
    report.figure("what L1 and L2 allow", allowed, "/s");
    report.figure("PostgreSQL, send to settled", ours.rate, "/s");
    report.figure("PostgreSQL, processor", ours.cpu_us, "us each");
    let row = "PostgreSQL, send_webhook from 64 tasks to settled";
    report.row(
        3,
        row,
        ours.rate / http.rate,
        "of L1",
        Target::AtLeast(0.22),
    );
    report.row(
        3,
        row,
        ours.rate / allowed,
        "of L1+L2",
        Target::AtLeast(0.60),
    );
    let drained = drained(servers, drain, sink).await?;
    report.figure("PostgreSQL, drain of 200,000", drained.rate, "/s");
    let row = "PostgreSQL, drain of 200,000 that wait, against sending";
    report.row(
        4,
        row,
        drained.rate / ours.rate,
        "of row 3",
        Target::AtLeast(1.0),
    );
    Database::Postgres.clear(servers, &NAMESPACES).await
}

/// What remains of a limit if each delivery also needs its share of the other.
pub(crate) fn allowed(one: Reached, other: Reached) -> f64 {
    1.0 / (1.0 / one.rate + 1.0 / other.rate)
}

/// From 64 tasks to settled, to one endpoint.
pub(crate) async fn sent(
    database: Database,
    servers: &Servers,
    namespace: &str,
    sink: &SinkProcess,
) -> Result<Reached> {
    let storage = database.connect(database.url(servers), namespace).await?;
    let system = system(storage);
    let endpoint = endpoint("endpoint_1", &sink.url(), "user.created");
    system.register_endpoint(endpoint).await?;
    let types: Arc<[String]> = [String::from("user.created")].into();
    let reached = send_to_settled(&system, &types, DELIVERIES, 1).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached)
}

/// From a start with 200,000 waiting until all are settled.
async fn drained(servers: &Servers, namespace: &str, sink: &SinkProcess) -> Result<Reached> {
    let storage = Database::Postgres
        .connect(&servers.postgres, namespace)
        .await?;
    storage
        .save_endpoint(&endpoint("endpoint_1", &sink.url(), "user.created"))
        .await?;
    fill(&storage, &["endpoint_1".into()], WAITING).await?;
    let watch = Stopwatch::start()?;
    let system = system(storage);
    if !system.drain(Duration::from_secs(240)).await? {
        return Err("not everything was delivered within four minutes".into());
    }
    let reached = watch.end(WAITING)?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached)
}

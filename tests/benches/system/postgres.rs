//! Rows 3 and 4: durable deliveries in PostgreSQL.

use std::time::Duration;

use crate::database::{Database, Servers};
use crate::durable::{MANY, allowed, sent};
use crate::load::{SENDERS, endpoint, fill, system};
use crate::measure::{Reached, Stopwatch, median_of};
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::{Result, durable, http_limit, postgres_limit};

const ROUNDS: usize = 5;
const WAITING: usize = 200_000;
const NAMESPACES: [&str; 2] = [durable::NAMESPACE, "drain"];

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let [sent_to, drain] = NAMESPACES;
    Database::Postgres
        .connect(&servers.postgres, sent_to)
        .await?;
    postgres_limit::prepare(&servers.postgres, sent_to).await?;
    let (mut http, mut sql) = (Vec::new(), Vec::new());
    let (mut ours, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        http.push(http_limit::run(&sink.url()).await?);
        sql.push(postgres_limit::run(&servers.postgres).await?);
        ours.push(sent(Database::Postgres, servers, sink, SENDERS).await?);
        many.push(sent(Database::Postgres, servers, sink, MANY).await?);
    }
    let (http, sql) = (median_of(&http), median_of(&sql));
    let (ours, many) = (median_of(&ours), median_of(&many));
    let allowed = allowed(http, sql);
    report.figure("L2, bare SQL", sql.rate, "/s");
    report.figure("what L1 and L2 allow", allowed, "/s");
    report.figure("PostgreSQL, send to settled", ours.rate, "/s");
    report.figure(
        "PostgreSQL from 256 tasks, send to settled",
        many.rate,
        "/s",
    );
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
        Target::AtLeast(0.50),
    );
    report.row(
        3,
        "PostgreSQL, send_webhook from 256 tasks to settled",
        many.rate / allowed,
        "of L1+L2",
        Target::AtLeast(0.55),
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

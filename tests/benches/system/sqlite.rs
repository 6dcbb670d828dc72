//! Rows 17 and 18: durable deliveries in a file, against its bare statements and against PostgreSQL.

use crate::database::{Database, Servers};
use crate::durable::{self, MANY, allowed, sent};
use crate::load::SENDERS;
use crate::measure::median_of;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::{Result, http_limit, sqlite_limit};

const ROUNDS: usize = 5;

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let (mut http, mut bare) = (Vec::new(), Vec::new());
    let (mut ours, mut many, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        http.push(http_limit::run(&sink.url()).await?);
        bare.push(sqlite_limit::run(&servers.sqlite).await?);
        ours.push(sent(Database::Sqlite, servers, sink, SENDERS).await?);
        peer.push(sent(Database::Postgres, servers, sink, SENDERS).await?);
        many.push(sent(Database::Sqlite, servers, sink, MANY).await?);
    }
    let [http, bare, ours, many, peer] =
        [http, bare, ours, many, peer].map(|runs| median_of(&runs));
    let allowed = allowed(http, bare);
    report.figure("L4, bare statements", bare.rate, "/s");
    report.figure("what L1 and L4 allow", allowed, "/s");
    report.figure("SQLite, send to settled", ours.rate, "/s");
    report.figure("SQLite from 256 tasks, send to settled", many.rate, "/s");
    report.figure("SQLite, processor", ours.cpu_us, "us each");
    let row = "SQLite, send_webhook from 64 tasks to settled";
    let ratio = ours.rate / peer.rate;
    report.row(17, row, ratio, "of PostgreSQL", Target::AtLeast(1.2));
    let ratio = ours.rate / allowed;
    report.row(18, row, ratio, "of L1+L4", Target::AtLeast(0.55));
    Database::Sqlite.clear(servers, &[]).await?;
    Database::Postgres
        .clear(servers, &[durable::NAMESPACE])
        .await
}

//! Row 5: deliveries in Redis with an append-only file that is synced every second.

use crate::database::{Database, Servers};
use crate::durable::{allowed, sent};
use crate::load::SENDERS;
use crate::measure::median_of;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::{Result, http_limit, redis_limit};

const ROUNDS: usize = 5;

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let (mut http, mut bare, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        http.push(http_limit::run(&sink.url()).await?);
        bare.push(redis_limit::run(&servers.redis).await?);
        ours.push(sent(Database::Redis, servers, sink, SENDERS).await?);
    }
    let (http, bare, ours) = (median_of(&http), median_of(&bare), median_of(&ours));
    let allowed = allowed(http, bare);
    report.figure("L3, bare commands", bare.rate, "/s");
    report.figure("what L1 and L3 allow", allowed, "/s");
    report.figure("Redis, send to settled", ours.rate, "/s");
    report.figure("Redis, processor", ours.cpu_us, "us each");
    let row = "Redis, send_webhook from 64 tasks to settled";
    report.row(
        5,
        row,
        ours.rate / http.rate,
        "of L1",
        Target::AtLeast(0.30),
    );
    report.row(
        5,
        row,
        ours.rate / allowed,
        "of L1+L3",
        Target::AtLeast(0.50),
    );
    Database::Redis.clear(servers, &[]).await
}

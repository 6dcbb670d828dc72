//! Row 14: what a system costs that has 10,000 endpoints and nothing to do.

use std::time::Duration;

use crate::Result;
use crate::database::{Database, Servers, postgres, redis};
use crate::load::endpoint;
use crate::measure::threads_time;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;
use crate::worker::Worker;

const ENDPOINTS: usize = 10_000;
/// After the start, until everything that a start brings is over, and counted: PostgreSQL counts what
/// a connection did up to ten seconds late when it does nothing more.
const SETTLING: Duration = Duration::from_secs(15);
const WATCHED: Duration = Duration::from_secs(20);
const NAMESPACE: &str = "idle";

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    // A database of its own, whose transactions are counted apart.
    let admin = postgres(&servers.postgres).await?;
    admin
        .batch_execute("DROP DATABASE IF EXISTS idle WITH (FORCE)")
        .await?;
    admin.batch_execute("CREATE DATABASE idle").await?;
    admin
        .batch_execute("ALTER SYSTEM SET autovacuum = off")
        .await?;
    admin.batch_execute("SELECT pg_reload_conf()").await?;
    let (server, _) = servers.postgres.rsplit_once('/').ok_or("no database")?;
    let own = Servers {
        postgres: format!("{server}/{NAMESPACE}"),
        ..servers.clone()
    };
    let mut workers = Vec::new();
    for database in [Database::Sqlite, Database::Postgres, Database::Redis] {
        register(database, &own, &sink.url()).await?;
        let mut worker = Worker::start(database, &own, NAMESPACE)?;
        worker.wait_until_up()?;
        workers.push((database, worker));
    }
    tokio::time::sleep(SETTLING).await;
    let before = counted(&admin, &own, &workers).await?;
    tokio::time::sleep(WATCHED).await;
    let after = counted(&admin, &own, &workers).await?;
    let seconds = WATCHED.as_secs_f64();
    for (((database, _), before), after) in workers.iter().zip(before).zip(after) {
        let name = database.name();
        let percent = (after.0 - before.0).as_secs_f64() / seconds * 100.0;
        let row = format!("{name}, idle with 10,000 endpoints, processor");
        report.row(14, row, percent, "% of a core", Target::AtMost(0.1));
        if let (Some(before), Some(after)) = (before.1, after.1) {
            let row = format!("{name}, idle with 10,000 endpoints, queries a second");
            let queries = (after - before) / seconds;
            report.row(14, row, queries, "/s", Target::AtMost(2.0));
        }
    }
    drop(workers);
    admin.batch_execute("ALTER SYSTEM RESET autovacuum").await?;
    admin.batch_execute("SELECT pg_reload_conf()").await?;
    admin
        .batch_execute("DROP DATABASE idle WITH (FORCE)")
        .await?;
    Database::Sqlite.clear(servers, &[]).await?;
    Database::Redis.clear(servers, &[]).await
}

/// Endpoints that want what nobody sends.
async fn register(database: Database, servers: &Servers, url: &str) -> Result {
    if database == Database::Postgres {
        // Only their making is not durable, which would take ten thousand turns of the disk.
        let client = postgres(&servers.postgres).await?;
        let relax = "ALTER DATABASE idle SET synchronous_commit = off";
        client.batch_execute(relax).await?;
    }
    let storage = database.connect(database.url(servers), NAMESPACE).await?;
    for n in 0..ENDPOINTS {
        let endpoint = endpoint(&format!("endpoint_{n}"), url, &format!("event.{n}"));
        storage.save_endpoint(&endpoint).await?;
    }
    if database == Database::Postgres {
        let client = postgres(&servers.postgres).await?;
        let reset = "ALTER DATABASE idle RESET synchronous_commit";
        client.batch_execute(reset).await?;
        client.batch_execute("VACUUM ANALYZE").await?;
    }
    Ok(())
}

/// Processor time of each worker so far, and its queries where a server counts them.
async fn counted(
    admin: &tokio_postgres::Client,
    servers: &Servers,
    workers: &[(Database, Worker)],
) -> Result<Vec<(Duration, Option<f64>)>> {
    let mut counted = Vec::new();
    for (database, worker) in workers {
        let queries = match database {
            Database::Postgres => Some(transactions(admin).await?),
            Database::Redis => Some(scripts(&redis(&servers.redis, "INFO commandstats").await?)),
            Database::Memory | Database::Sqlite => None,
        };
        counted.push((threads_time(worker.id())?, queries));
    }
    Ok(counted)
}

/// Every query of the storage is a transaction.
async fn transactions(admin: &tokio_postgres::Client) -> Result<f64> {
    let count = "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database
        WHERE datname = 'idle'";
    Ok(admin.query_one(count, &[]).await?.try_get(0)?)
}

/// Every call of the storage is a script.
fn scripts(commandstats: &str) -> f64 {
    let calls = |name: &str| {
        let line = commandstats
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":calls="));
        let count = line.and_then(|rest| rest.split(',').next()?.parse::<f64>().ok());
        count.unwrap_or_default()
    };
    calls("cmdstat_evalsha") + calls("cmdstat_eval")
}

//! What `cargo xtask bench` runs: whole systems, each measured against the limit of the same run.
//! docs/benchmarks.md says what each part means.
//!
//! The same program is the receiver, the workers and the memory measurement, in processes of their
//! own.
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

mod api;
mod backlog;
mod backlog_rows;
mod database;
mod durable;
mod footprint;
mod hanging;
mod http_limit;
mod idle;
mod latency;
mod load;
mod masters;
mod measure;
mod memory;
mod orders;
mod postgres;
mod postgres_limit;
mod processes;
mod redis;
mod redis_limit;
mod report;
mod result;
mod sink;
mod sink_process;
mod small_steps;
mod sqlite;
mod sqlite_limit;
mod worker;

use std::process::ExitCode;

use self::database::Servers;
use self::report::Report;
use self::result::Result;
use self::sink_process::SinkProcess;

/// The parts in their order.
const PARTS: &[&str] = &[
    "memory",
    "postgres",
    "redis",
    "sqlite",
    "latency",
    "processes",
    "backlog",
    "hanging",
    "verify",
    "match",
    "footprint",
    "idle",
    "orders",
    "masters",
    "api",
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                println!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result {
    let runtime = tokio::runtime::Runtime::new()?;
    match *arguments {
        ["--sink"] => runtime.block_on(sink::run()),
        ["--worker", kind, url, namespace] => {
            runtime.block_on(worker::run(kind.parse()?, url, namespace))
        }
        ["--footprint"] => runtime.block_on(footprint::run()),
        [
            "--postgres",
            postgres,
            "--redis",
            redis,
            "--sqlite",
            sqlite,
            "--json",
            file,
            ref parts @ ..,
        ] => {
            let servers = Servers {
                postgres: postgres.into(),
                redis: redis.into(),
                sqlite: sqlite.into(),
            };
            runtime.block_on(measure(&servers, file, parts))
        }
        // Cargo adds an argument of its own, and runs all benchmarks where nobody named one.
        _ => Err("run `cargo xtask bench`, which brings the servers".into()),
    }
}

async fn measure(servers: &Servers, file: &str, parts: &[&str]) -> Result {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| *p != "--bench").collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        return Err(format!("there is no part {unknown}, but {}", PARTS.join(", ")).into());
    }
    let parts = if parts.is_empty() {
        PARTS.to_vec()
    } else {
        parts
    };
    let sink = SinkProcess::start()?;
    let mut report = Report::new();
    for part in parts {
        let started = tokio::time::Instant::now();
        run_part(part, servers, &sink, &mut report).await?;
        println!("{part}: {:.0} s", started.elapsed().as_secs_f64());
    }
    report.print();
    report.write(file)
}

async fn run_part(
    part: &str,
    servers: &Servers,
    sink: &SinkProcess,
    report: &mut Report,
) -> Result {
    match part {
        "memory" => memory::run(sink, report).await,
        "postgres" => postgres::run(servers, sink, report).await,
        "redis" => redis::run(servers, sink, report).await,
        "sqlite" => sqlite::run(servers, sink, report).await,
        "latency" => latency::run(servers, sink, report).await,
        "processes" => processes::run(servers, sink, report).await,
        "backlog" => backlog::run(servers, sink, report).await,
        "hanging" => hanging::run(servers, sink, report).await,
        "verify" => small_steps::verify(report),
        "match" => small_steps::matching(report),
        "orders" => orders::run(servers, sink, report).await,
        "masters" => masters::run(sink, report).await,
        "api" => api::run(servers, sink, report).await,
        "footprint" => footprint::measure(report),
        _ => idle::run(servers, sink, report).await,
    }
}

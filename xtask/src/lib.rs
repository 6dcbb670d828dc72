//! Every command that developers and CI run: `cargo xtask`. Tests take the servers that they stop and
//! kill from here too.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for the terminal prints"
)]

mod api;
mod bench;
mod bench_charts;
mod bench_pages;
mod callgrind;
mod ci;
mod counts;
mod demo;
mod deny;
mod deploy;
mod egress;
mod faults;
mod features;
mod figures;
mod files;
mod fuzz;
mod import_circles;
mod install;
mod interop;
mod layers;
mod pgbouncer;
mod postgres;
mod postgres_pair;
mod process;
mod redis;
mod redis_cluster;
mod reference;
mod rusqlite;
mod scale;
mod server;
mod services;
mod simulate;
mod test;
mod workspace;

use std::process::ExitCode;

pub use self::egress::EgressProxy;
pub use self::faults::require_faketime;
pub use self::install::TempFolder;
pub use self::pgbouncer::PgBouncer;
pub use self::postgres::Postgres;
pub use self::postgres_pair::PostgresPair;
pub use self::redis::Redis;
pub use self::redis_cluster::RedisCluster;

/// What a command answers: an error is the text that the user reads.
pub type Result<T = ()> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [ARGS]    all tests, on a private PostgreSQL and Redis; ARGS go to the test runner
  ci             everything that CI runs
  api [bless]    the public items of the library crates, against docs/api
  reference      makes docs/api-reference.md of docs/openapi.json
  figures        how long files and functions are, and how much explains them, within bounds
  layers         which crate and which file may depend on which
  deny           licences, bans, sources and advisories of the dependencies
  deploy         the alerts and the dashboard of deploy/, against what a scrape has
  features       each library crate alone, without features and with each of them
  rusqlite       the SQLite storage beside crates that link the same library
  services       starts PostgreSQL and Redis for work by hand, until Ctrl-C
  demo [ARGS]    the quickstart example
  interop        our signatures against the verifiers of other languages
  fuzz [TARGET] [SECONDS]
                 the fuzz targets, each for a minute unless told otherwise
  simulate [SEEDS] [FROM]
                 processes, storage and endpoints in virtual time: 10,000 seeds from 0
  scale [NAME=VALUE..]
                 100,000 deliveries a second over several databases, from the cost of single calls
  faults [full]  kills processes and databases, and counts what arrives
  bench [PART..] measures the system on private servers; all parts renew docs/benchmarks.*
  callgrind      counts the instructions of single steps, against tests/micro/instructions.json
  counts         allocations, system calls and locks of one delivery; Linux, as root";

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    match run(&command, &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, args: &[String]) -> Result {
    std::env::set_current_dir(workspace::root()?).map_err(|e| e.to_string())?;
    let takes_some = [
        "api",
        "test",
        "demo",
        "simulate",
        "scale",
        "faults",
        "fuzz",
        "bench",
        "callgrind",
    ];
    if !args.is_empty() && !takes_some.contains(&command) {
        return Err(format!("{command} takes no arguments\n\n{USAGE}"));
    }
    match command {
        "test" => test::run(args),
        "ci" => ci::run(),
        "rusqlite" => rusqlite::run(),
        "layers" => layers::run(),
        "api" => api::run(args),
        "reference" => reference::run(),
        "figures" => figures::run(),
        "deny" => deny::run(),
        "deploy" => deploy::run(),
        "features" => features::run(),
        "services" => services::run(),
        "demo" => demo::run(args),
        "interop" => interop::run(),
        "simulate" => simulate::run(args),
        "scale" => scale::run(args),
        "faults" => faults::run(args),
        "fuzz" => fuzz::run(args),
        "bench" => bench::run(args),
        "callgrind" => callgrind::run(args),
        "counts" => counts::run(),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => Err(format!("there is no command {unknown}\n\n{USAGE}")),
    }
}

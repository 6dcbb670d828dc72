//! `cargo xtask scale [NAME=VALUE..]`: 100,000 deliveries a second over several databases, on a
//! simulated clock, from the measured cost of single calls. `docs/scaling.md` tells what of it is
//! measured and what is assumed, and what it leaves out.
//!
//! It is not the simulator of `webhooks-delivery`: that one runs the real scheduler and checks rules
//! after each step, so that it can go through some thousand deliveries, and not through millions.

mod costs;
mod database;
mod happening;
mod outcome;
mod process;
mod random;
mod settings;
mod tenants;
mod world;

#[cfg(test)]
mod tests;

use self::costs::REDIS;
use self::outcome::Outcome;
use self::settings::Settings;
use self::tenants::Placed;
use crate::Result;

/// Numbers of databases.
const DATABASES: [usize; 5] = [1, 2, 4, 8, 16];
/// A hash without partitions.
const MANY: usize = 1 << 20;

/// Prints all tables.
pub(crate) fn run(args: &[String]) -> Result {
    let settings = Settings::parse(args)?;
    println!(
        "{} deliveries a second, seed {}",
        settings.rate, settings.seed
    );
    println!(
        "one database: {:.0} a second at most, computed",
        settings.engine.ceiling()
    );
    for placed in [Placed::ByHash(MANY), Placed::LargestFirst] {
        heading(
            &format!("{}, {placed:?}", settings.engine.name),
            "databases",
        );
        for databases in DATABASES {
            let settings = Settings {
                databases,
                placed,
                ..settings
            };
            row(&databases.to_string(), &world::run(settings));
        }
    }
    processes(settings);
    listings(settings);
    replays(settings);
    skews(settings);
    redis(settings);
    Ok(())
}

/// The same load from fewer and more processes, with as many places in all.
fn processes(settings: Settings) {
    heading("PostgreSQL, 4 databases, LargestFirst", "processes");
    let places = settings.processes * settings.places;
    for processes in [4, 8, 16, 32, 64, 128] {
        let settings = Settings {
            databases: 4,
            processes,
            places: places / processes,
            ..settings
        };
        row(&processes.to_string(), &world::run(settings));
    }
}

/// The same listings on the primaries and on replicas.
fn listings(settings: Settings) {
    heading("PostgreSQL, 4 databases, LargestFirst", "listings");
    for rate in [500.0, 4_000.0] {
        for on_replica in [false, true] {
            let settings = Settings {
                databases: 4,
                listings: rate,
                on_replica,
                ..settings
            };
            let of = if on_replica { "replicas" } else { "primaries" };
            row(&format!("{rate}/s of {of}"), &world::run(settings));
        }
    }
}

/// Replicas that replay so many times more slowly than was measured.
fn replays(settings: Settings) {
    heading(
        "PostgreSQL, 2 databases, LargestFirst",
        "replay of one delivery",
    );
    for times in [1.0, 2.0, 3.0] {
        let mut settings = Settings {
            databases: 2,
            ..settings
        };
        settings.engine.replay *= times;
        let each = 2.0 * settings.engine.replay;
        row(&format!("{each} us"), &world::run(settings));
    }
}

/// More and less even loads, and what the largest tenant alone allows.
fn skews(settings: Settings) {
    heading(
        "PostgreSQL, 8 databases, LargestFirst",
        "skew: what the largest tenant allows, in 1,000/s",
    );
    for skew in [0.0, 0.8, 1.0, 1.2, 1.5, 2.0] {
        let settings = Settings {
            databases: 8,
            skew,
            ..settings
        };
        let outcome = world::run(settings);
        let allows = settings.engine.ceiling() / outcome.largest / 1_000.0;
        row(&format!("{skew}: {allows:.0}"), &outcome);
    }
}

/// The 16 partitions of a Redis Cluster, on so many servers.
fn redis(settings: Settings) {
    heading("Redis, 16 partitions", "servers");
    for databases in DATABASES {
        let settings = Settings {
            databases,
            engine: REDIS,
            placed: Placed::ByHash(16),
            on_replica: false,
            ..settings
        };
        row(&databases.to_string(), &world::run(settings));
    }
}

fn heading(what: &str, first: &str) {
    println!("\n{what}\n");
    println!(
        "| {first} | largest share | p50, ms | p99, ms | busiest database | rows per call \
         | places, of the busiest | waits more, /s | stale |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

fn row(first: &str, outcome: &Outcome) {
    let rows = outcome.rows as f64 / outcome.calls.max(1) as f64;
    println!(
        "| {first} | {} | {:.1} | {:.1} | {} | {rows:.0} | {}, {} | {:.0} | {} |",
        percent(outcome.share),
        outcome.lag(500),
        outcome.lag(990),
        percent(outcome.busiest()),
        percent(outcome.places),
        percent(outcome.busiest_places),
        // No sign on what is none.
        outcome.behind.round() + 0.0,
        percent(outcome.stale as f64 / outcome.listed.max(1) as f64),
    );
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

//! Processes and database servers are killed, and nothing that was acknowledged is lost.
//!
//! Each fault has a private server, worker processes of its own and one receiver. It counts what
//! was acknowledged against what arrived. `WEBHOOKS_FAULTS=full` makes every fault longer;
//! `WEBHOOKS_FAULTS_SEED` repeats the moments of an earlier run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failed test may panic in its helpers too, and tells what it counted"
)]

mod clocks;
mod cluster;
mod connect;
mod databases;
mod eventually;
mod failover;
mod ledger;
mod orders;
mod poison;
mod server;
mod tally;
mod worker;
mod worker_process;
mod workers;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::server::Kind;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--worker") {
        return worker_process::main(&args.collect::<Vec<_>>());
    }
    let mut arguments = Arguments::from_args();
    // Two at a time mostly wait; more would starve each other.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let faults = [of_workers(), of_servers(), of_replicas()];
    let faults = faults.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, faults).exit_code()
}

fn of_workers() -> Vec<Trial> {
    vec![
        fault("a_killed_worker_loses_nothing_on_postgres", |name| {
            workers::killed(name, Kind::Postgres);
        }),
        fault("a_killed_worker_loses_nothing_on_redis", |name| {
            workers::killed(name, Kind::Redis);
        }),
        fault("a_killed_worker_breaks_no_order_on_postgres", |name| {
            orders::killed(name, Kind::Postgres);
        }),
        fault("a_killed_worker_breaks_no_order_on_redis", |name| {
            orders::killed(name, Kind::Redis);
        }),
        fault("a_stopped_worker_sends_only_its_own_on_postgres", |name| {
            workers::stopped(name, Kind::Postgres);
        }),
        fault("a_stopped_worker_sends_only_its_own_on_redis", |name| {
            workers::stopped(name, Kind::Redis);
        }),
        fault("a_deadly_delivery_ends_as_poison_on_postgres", |name| {
            poison::deadly(name, Kind::Postgres);
        }),
        fault("a_deadly_delivery_ends_as_poison_on_redis", |name| {
            poison::deadly(name, Kind::Redis);
        }),
    ]
}

fn of_servers() -> Vec<Trial> {
    vec![
        fault(
            "a_killed_postgres_loses_nothing",
            databases::killed_postgres,
        ),
        fault(
            "a_killed_redis_that_always_syncs_loses_nothing",
            databases::killed_redis,
        ),
        fault(
            "a_killed_redis_that_syncs_each_second_loses_two_at_most",
            databases::killed_redis_everysec,
        ),
        fault(
            "cut_connections_to_postgres_lose_nothing",
            databases::cut_postgres,
        ),
        fault(
            "an_exhausted_pool_of_postgres_loses_nothing",
            databases::exhausted_pool,
        ),
        fault(
            "cut_connections_to_redis_lose_nothing",
            databases::cut_redis,
        ),
        fault("silence_of_postgres_kills_no_worker", |name| {
            databases::silent(name, Kind::Postgres);
        }),
        fault("silence_of_redis_kills_no_worker", |name| {
            databases::silent(name, Kind::Redis);
        }),
        fault(
            "a_long_foreign_transaction_does_not_slow_postgres",
            databases::foreign_transaction,
        ),
        fault("a_wrong_wall_clock_changes_no_time", clocks::an_hour_off),
    ]
}

fn of_replicas() -> Vec<Trial> {
    vec![
        fault(
            "a_killed_master_of_a_cluster_loses_what_its_replica_had_not",
            |name| failover::killed(name, Kind::Cluster),
        ),
        fault(
            "a_killed_master_whose_replica_is_waited_for_loses_nothing",
            |name| failover::killed(name, Kind::WaitingCluster),
        ),
        fault(
            "slots_that_move_in_a_cluster_lose_nothing",
            failover::moved_slots,
        ),
        fault("a_killed_primary_loses_what_its_standby_had_not", |name| {
            failover::killed_pair(name, false)
        }),
        fault(
            "a_killed_primary_with_a_synchronous_standby_loses_nothing",
            |name| failover::killed_pair(name, true),
        ),
    ]
}

fn fault(name: &'static str, run: fn(&'static str)) -> Trial {
    Trial::test(name, move || {
        run(name);
        Ok(())
    })
}

/// The value for the short form, which CI runs, or for the full one.
fn form<T>(short: T, full: T) -> T {
    if std::env::var("WEBHOOKS_FAULTS").is_ok_and(|form| form == "full") {
        full
    } else {
        short
    }
}

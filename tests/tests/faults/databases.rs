//! What happens to the database, or to the connections to it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::NoTls;
use webhooks_tests::Response;

use crate::form;
use crate::server::{Kind, redis_command};
use crate::tally::Tally;
use crate::worker_process::MAX_IN_FLIGHT;
use crate::world::{World, run_for};

/// Between two cuts of all connections.
const CUT_EVERY: Duration = Duration::from_millis(200);

/// How late the operating system may get what Redis has acknowledged with `everysec`: two seconds
/// while a sync is slow, and one for how late a moment is noted here.
const UNSYNCED: Duration = Duration::from_secs(3);

pub(crate) fn killed_postgres(fault: &'static str) {
    let mut world = slow_world(fault, Kind::Postgres, &[]);
    let (tally, kills) = kill_and_restart(&mut world);
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= kills.len() * 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

pub(crate) fn killed_redis(fault: &'static str) {
    let mut world = slow_world(fault, Kind::Redis, &["--appendfsync", "always"]);
    let (tally, kills) = kill_and_restart(&mut world);
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= kills.len() * 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

/// What this setting can lose is what came just before a kill, and no more.
pub(crate) fn killed_redis_everysec(fault: &'static str) {
    let mut world = slow_world(fault, Kind::Redis, &["--appendfsync", "everysec"]);
    let (tally, kills) = kill_and_restart(&mut world);
    let just_before = |moment: Instant| {
        let mut kills = kills.iter();
        kills.any(|kill| moment <= *kill && kill.duration_since(moment) < UNSYNCED)
    };
    let acknowledged = world.acknowledged.all();
    let lost: Vec<_> = tally
        .lost
        .iter()
        .filter(|id| !just_before(acknowledged[*id].at))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let arrivals = world.arrivals.all();
    let repeatable = arrivals.iter().filter(|arrival| just_before(arrival.at));
    assert!(tally.duplicates <= repeatable.count() + kills.len() * 2 * MAX_IN_FLIGHT);
    drop(arrivals);
    world.check_sum();
}

/// A world in which requests are in flight at any time.
fn slow_world(fault: &'static str, kind: Kind, settings: &[&str]) -> World {
    World::responding(fault, kind, settings, |_| {
        Response::After(Duration::from_millis(100), 200)
    })
}

/// Kills the server under load a few times, each time it is back after a second; when it was
/// killed.
fn kill_and_restart(world: &mut World) -> (Tally, Vec<Instant>) {
    let times = form(3, 20);
    let (settle, window) = form((2.0, 2.0), (5.0, 5.0));
    let order = world.order(50);
    world.add_workers(2, &order);
    let (mut resumed, mut slowdown) = (Duration::ZERO, f64::INFINITY);
    run_for(1.0 + window);
    let length = Duration::from_secs_f64(window);
    let rate_until = |world: &World, now: Instant| world.arrivals.rate(now - length, now);
    let before = rate_until(world, Instant::now());
    let mut kills = Vec::new();
    for _ in 0..times {
        kills.push(Instant::now());
        world.server.kill();
        run_for(1.0);
        world.server.restart();
        resumed = resumed.max(world.wait_for_arrival());
        run_for(settle + window);
        slowdown = slowdown.min(rate_until(world, Instant::now()) / before);
    }
    let mut tally = world.end();
    tally.resumed = Some(resumed);
    let slowdown_note = format!("rate after {:.0} % of before", slowdown * 100.0);
    tally.notes.push(slowdown_note);
    tally.report();
    if form(false, true) {
        assert!(slowdown >= 0.95, "the rate fell to {slowdown}");
    }
    (tally, kills)
}

pub(crate) fn cut_postgres(fault: &'static str) {
    const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let world = slow_world(fault, Kind::Postgres, &[]);
    let url = world.server.url();
    let (client, connection) = world
        .runtime
        .block_on(tokio_postgres::connect(&url, NoTls))
        .unwrap();
    let connection = world.runtime.spawn(connection);
    let runtime = world.runtime.handle().clone();
    let cut = move || {
        runtime.block_on(client.batch_execute(CUT)).unwrap();
    };
    cut_for(world, 2, form(5, 20), cut);
    connection.abort();
}

pub(crate) fn cut_redis(fault: &'static str) {
    let world = slow_world(fault, Kind::Redis, &["--appendfsync", "always"]);
    let url = world.server.url();
    cut_for(world, 4, form(5, 20), move || {
        for of in ["normal", "pubsub"] {
            redis_command(&url, &format!("CLIENT KILL TYPE {of}")).unwrap();
        }
    });
}

/// A lock of somebody else keeps every connection of the pools waiting, so that none is left; all
/// goes on when it is gone.
pub(crate) fn exhausted_pool(fault: &'static str) {
    let mut world = slow_world(fault, Kind::Postgres, &[]);
    let mut order = world.order(50);
    order.connections = 2;
    world.add_workers(2, &order);
    run_for(1.0);
    let (client, connection) = {
        let url = world.server.url();
        let connecting = tokio_postgres::connect(&url, NoTls);
        world.runtime.block_on(connecting).unwrap()
    };
    let connection = world.runtime.spawn(connection);
    let run = |world: &World, sql| world.runtime.block_on(client.batch_execute(sql)).unwrap();
    for _ in 0..form(2, 5) {
        run(
            &world,
            "BEGIN; LOCK TABLE faults.webhook_queue IN ACCESS EXCLUSIVE MODE",
        );
        run_for(form(3.0, 15.0));
        run(&world, "COMMIT");
        world.wait_for_arrival();
        run_for(2.0);
    }
    connection.abort();
    let tally = world.end();
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= form(2, 5) * 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

/// Cuts all connections of the workers again and again under load.
fn cut_for(mut world: World, connections: usize, seconds: u64, cut: impl Fn()) {
    let mut order = world.order(50);
    order.connections = connections;
    world.add_workers(2, &order);
    run_for(1.0);
    let start = Instant::now();
    let mut cuts = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        cut();
        cuts += 1;
        std::thread::sleep(CUT_EVERY);
    }
    let resumed = world.wait_for_arrival();
    run_for(1.0);
    let mut tally = world.end();
    tally.resumed = Some(resumed);
    tally.notes.push(format!("{cuts} cuts"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= cuts * 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

/// A database that was away for a while makes no worker look dead.
pub(crate) fn silent(fault: &'static str, kind: Kind) {
    let mut world = slow_world(fault, kind, &["--appendfsync", "always"]);
    let order = world.order(50);
    world.add_workers(2, &order);
    // Both have beaten often enough to take back what the other holds, if it looked dead.
    run_for(4.0);
    world.server.kill();
    run_for(form(8.0, 30.0));
    world.server.restart();
    let resumed = world.wait_for_arrival();
    // Whoever looked dead would be given up by the second beat after the return.
    run_for(7.0);
    let mut tally = world.end();
    tally.resumed = Some(resumed);
    let deliveries = world.deliveries(&[]);
    let crashed = deliveries.iter().filter(|r| r.delivery.crashes > 0).count();
    tally
        .notes
        .push(format!("taken back from workers {crashed}"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert_eq!(crashed, 0, "a worker that lives was given up for dead");
    assert!(tally.duplicates <= 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

/// A transaction of somebody else that stays open keeps old rows from being cleaned up; the rate
/// stays.
pub(crate) fn foreign_transaction(fault: &'static str) {
    let mut world = World::start(fault, Kind::Postgres, &[]);
    let order = world.order(form(100, 400));
    world.add_workers(2, &order);
    let window = Duration::from_secs(form(4, 30));
    let measure = |world: &World| {
        let start = Instant::now();
        std::thread::sleep(window);
        world.arrivals.rate(start, Instant::now())
    };
    run_for(1.0);
    let without = measure(&world);
    let (client, connection) = {
        let url = world.server.url();
        let connecting = tokio_postgres::connect(&url, NoTls);
        world.runtime.block_on(connecting).unwrap()
    };
    let connection = world.runtime.spawn(connection);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()";
    world.runtime.block_on(client.batch_execute(begin)).unwrap();
    run_for(form(2.0, 30.0));
    let with = measure(&world);
    let mut tally = world.end();
    world
        .runtime
        .block_on(client.batch_execute("COMMIT"))
        .unwrap();
    connection.abort();
    tally
        .notes
        .push(format!("{without:.0}/s without it, {with:.0}/s with it"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    if form(false, true) {
        assert!(
            with >= 0.9 * without,
            "{with}/s with it, {without}/s without"
        );
    }
    world.check_counts(0);
}

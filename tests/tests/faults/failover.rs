//! A server dies for good, and its replica takes over.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use webhooks_tests::{Received, Response};

use crate::form;
use crate::server::{Kind, Server};
use crate::tally::Tally;
use crate::worker_process::{LOADED, MAX_IN_FLIGHT};
use crate::world::{World, run_for};

/// How long a server goes on without its replica before it is killed, in seconds.
const APART: f64 = 0.5;
/// How late an acknowledgement, or a request, may be noted here.
const NOTED: Duration = Duration::from_millis(500);
/// The delay before a retry: what waits for one is in the storage alone.
const RETRY: Duration = Duration::from_secs(2);

/// Kills a master of a cluster.
pub(crate) fn killed(fault: &'static str, kind: Kind) {
    let waits = kind == Kind::WaitingCluster;
    killed_of(fault, |at| Server::start(kind, at, &[]), waits);
}

/// Kills a PostgreSQL server that has a standby.
pub(crate) fn killed_pair(fault: &'static str, waits: bool) {
    killed_of(fault, |at| Server::start_pair(at, waits), waits);
}

/// Kills the server under load while its replica gets nothing of what is written; the replica takes
/// over. Where nobody waits for it, what was acknowledged meanwhile is lost, and nothing else.
fn killed_of(fault: &'static str, server: impl FnOnce(&Path) -> Server, waits: bool) {
    let mut world = World::around(fault, server, failing_first());
    let mut order = world.order(50);
    order.retry = RETRY;
    world.add_workers(2, &order);
    run_for(1.0);
    let (mut apart, mut away) = (Vec::new(), Duration::ZERO);
    let times = form(1, 6);
    for n in 0..times {
        let endpoint = LOADED[n % LOADED.len()];
        let (time, gone) = fail_over(&mut world, endpoint, n + 1 < times);
        apart.push(time);
        away = away.max(gone);
        run_for(form(0.5, 5.0));
    }
    let mut tally = world.end();
    tally.resumed = Some(away);
    check(&world, tally, &apart, waits);
}

/// While its replica was cut off, and how long no request arrived. The new server gets a replica where
/// nothing goes on without one, or if it is the next to be killed.
fn fail_over(world: &mut World, endpoint: &str, goes_on: bool) -> (Range<Instant>, Duration) {
    let cut = Instant::now();
    world.server.cut(endpoint);
    run_for(APART);
    world.server.kill();
    let killed = Instant::now();
    world.server.take_over();
    if world.server.kind() == Kind::WaitingCluster {
        world.server.restart();
        world.wait_for_arrival();
        return (cut..killed, killed.elapsed());
    }
    world.wait_for_arrival();
    let gone = killed.elapsed();
    if goes_on {
        world.server.restart();
    }
    (cut..killed, gone)
}

fn check(world: &World, mut tally: Tally, apart: &[Range<Instant>], waits: bool) {
    let overlapping = |begun: Instant, at: Instant| {
        let mut times = apart.iter();
        times.find(|time| time.start <= at && begun <= time.end + NOTED)
    };
    let acknowledged = world.acknowledged.all().clone();
    let lost = || tally.lost.iter().map(|id| acknowledged[id]);
    // A call may have stored this half before the server died, and its other half long after.
    let explained = || lost().filter_map(|ack| Some((ack, overlapping(ack.begun, ack.at)?)));
    let unexplained = lost().count() - explained().count();
    let before = explained().map(|(ack, time)| time.end.saturating_duration_since(ack.at));
    let earliest = before.max().unwrap_or_default().as_secs_f64();
    let note = format!("lost were of the last {earliest:.1} s before a kill");
    tally.notes.push(format!("{} failovers", apart.len()));
    if !tally.lost.is_empty() {
        tally.notes.push(note);
    }
    tally.report();
    if waits {
        assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    } else {
        assert!(!tally.lost.is_empty(), "the replica was not cut off");
        assert_eq!(unexplained, 0, "lost although the replica had it");
    }
    let arrivals = world.arrivals.all();
    let repeatable = arrivals
        .iter()
        .filter(|arrival| overlapping(arrival.at, arrival.at).is_some());
    assert!(tally.duplicates <= repeatable.count() + apart.len() * 2 * MAX_IN_FLIGHT);
    drop(arrivals);
    world.check_sum();
}

/// The partition of each endpoint moves to another master and back under load.
pub(crate) fn moved_slots(fault: &'static str) {
    let mut world = World::responding(fault, Kind::Cluster, &[], failing_first());
    let order = world.order(20);
    world.add_workers(2, &order);
    run_for(1.0);
    let moves = form(2, 6);
    let mut longest = Duration::ZERO;
    for n in 0..moves {
        let Server::Cluster(cluster) = &world.server else {
            panic!("it is no cluster");
        };
        let start = Instant::now();
        cluster.move_partition(LOADED[n % LOADED.len()]);
        longest = longest.max(start.elapsed());
        run_for(form(0.5, 2.0));
    }
    let resumed = world.wait_for_arrival();
    let mut tally = world.end();
    tally.resumed = Some(resumed);
    let note = format!("{moves} moves of {:.1} s at most", longest.as_secs_f64());
    tally.notes.push(note);
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= moves * 2 * MAX_IN_FLIGHT);
    world.check_counts(0);
}

/// A receiver that is slow, and refuses every other delivery at first.
fn failing_first() -> impl Fn(&Received) -> Response + Send + Sync + 'static {
    let seen = Mutex::new(HashSet::new());
    move |request| {
        let delivery = request.header("x-webhook-delivery").to_owned();
        let mut seen = seen.lock().unwrap();
        let fails = seen.len().is_multiple_of(2) && !seen.contains(&delivery);
        seen.insert(delivery);
        Response::After(Duration::from_millis(100), if fails { 503 } else { 200 })
    }
}

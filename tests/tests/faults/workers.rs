//! What happens to worker processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use better_auth_webhooks::storage::DeliveryRecord;
use better_auth_webhooks::{DeadReason, DeliveryState};
use webhooks_tests::Response;

use crate::eventually::eventually;
use crate::form;
use crate::server::Kind;
use crate::worker_process::{LOAD, LOADED, MAX_IN_FLIGHT};
use crate::world::{World, run_for};

/// Kills workers at random moments, and starts others in their place.
pub(crate) fn killed(fault: &'static str, kind: Kind) {
    let kills = form(5, 50);
    let seed = std::env::var("WEBHOOKS_FAULTS_SEED");
    let seed = seed.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    // Whoever is killed has requests in flight, and some of them fail.
    let requests = AtomicUsize::new(0);
    let response = move |_: &_| {
        let fails = requests.fetch_add(1, Ordering::SeqCst).is_multiple_of(4);
        Response::After(Duration::from_millis(100), if fails { 503 } else { 200 })
    };
    let mut world = World::responding(fault, kind, &["--appendfsync", "always"], response);
    let order = world.order(50);
    world.add_workers(2, &order);
    for _ in 0..kills {
        run_for(0.3 + 1.5 * random.f64());
        let place = random.usize(..world.workers.len());
        // What is replaced is dropped, and so killed.
        world.workers[place] = world.spawn(&order);
    }
    let mut tally = world.end();
    // Kills that go on for long enough meet one delivery three times: it is poison, as far as
    // anybody can tell. A worker has one such delivery in hand, so that a kill can meet no more. The
    // few of the short form meet none, since each takes 12 s to be noticed.
    let dead = world.deliveries(&[DeliveryState::Dead]);
    let of_three = |record: &DeliveryRecord| record.dead_reason == Some(DeadReason::Poison);
    tally.notes.push(format!("{} poison", dead.len()));
    tally.notes.push(format!("WEBHOOKS_FAULTS_SEED={seed}"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= kills * MAX_IN_FLIGHT);
    assert!(dead.iter().all(of_three));
    assert!(dead.len() <= form(0, kills), "{} dead", dead.len());
    let counts = world.check_sum();
    assert_eq!(counts.dead, dead.len() as u64);
    // A request of a worker that died before it stored the outcome may have been the last one.
    let arrived = world.arrivals.accepted().len() as u64;
    assert!((counts.delivered..=counts.delivered + counts.dead).contains(&arrived));
}

/// A worker that stands still past its death finds its deliveries gone when it goes on.
pub(crate) fn stopped(fault: &'static str, kind: Kind) {
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = is_slow.clone();
    let response = move |_: &_| match slow.load(Ordering::SeqCst) {
        true => Response::After(Duration::from_secs(10), 200),
        false => Response::Status(200),
    };
    let mut world = World::responding(fault, kind, &["--appendfsync", "always"], response);
    let order = world.order(0);
    world.add_workers(1, &order);
    world.send(LOAD, 100);
    // The caps for one endpoint are reached; what is beyond waits in the worker or in the storage.
    let in_flight = LOADED.len() * 16;
    eventually("requests are in flight", Duration::from_secs(20), || {
        world.arrivals.all().len() >= in_flight
    });
    world.workers[0].signal("STOP");
    let in_flight = world.arrivals.all().len();
    is_slow.store(false, Ordering::SeqCst);
    world.add_workers(1, &order);
    // Everything is delivered by the other, long before the first goes on.
    world.drain();
    let delivered = world.arrivals.all().len();
    run_for(form(2.0, 25.0));
    world.workers[0].signal("CONT");
    run_for(5.0);
    let after = world.arrivals.all().len();
    assert_eq!(after, delivered, "it sent what was no longer its own");
    // It takes part again.
    world.workers.remove(1).end();
    world.send(LOAD, 20);
    let mut tally = world.end();
    tally
        .notes
        .push(format!("{in_flight} in flight when it stopped"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= in_flight);
    world.check_counts(0);
}

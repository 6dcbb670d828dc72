//! What happens to worker processes.

use crate::form;
use crate::server::Kind;
use crate::worker_process::MAX_IN_FLIGHT;
use crate::world::{World, run_for};

/// Kills workers at random moments, and starts others in their place.
pub(crate) fn killed(fault: &'static str, kind: Kind) {
    let kills = form(5, 50);
    let seed = std::env::var("WEBHOOKS_FAULTS_SEED");
    let seed = seed.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{fault}: WEBHOOKS_FAULTS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::start(fault, kind, &[]);
    let order = world.order(50);
    world.add_workers(2, &order);
    for _ in 0..kills {
        run_for(0.3 + 1.5 * random.f64());
        let place = random.usize(..world.workers.len());
        // What is replaced is dropped, and so killed.
        world.workers[place] = world.spawn(&order);
    }
    let tally = world.end();
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.duplicates <= kills * MAX_IN_FLIGHT);
    world.check_counts(0);
}

//! A delivery that brings down whoever touches it.

use std::collections::HashSet;
use std::time::Duration;

use better_auth_webhooks::{DeadReason, DeliveryState};

use webhooks_tests::Response;

use crate::server::Kind;
use crate::worker_process::ABORTS;
use crate::world::World;

/// It is given up after its third victim, and its neighbours all arrive.
pub(crate) fn deadly(fault: &'static str, kind: Kind) {
    // Whoever dies has others in hand.
    let response = |_: &_| Response::After(Duration::from_millis(100), 200);
    let mut world = World::responding(fault, kind, &["--appendfsync", "always"], response);
    let deadly = format!("http://{ABORTS}:{}/", world.port());
    world.register("deadly", "deadly", &deadly);
    let order = world.order(20);
    world.add_workers(1, &order);
    let guilty: HashSet<_> = world.send("deadly", 1).into_iter().collect();
    let mut deaths = 0;
    let mut start = tokio::time::Instant::now();
    loop {
        let alive = world.workers[0].is_alive();
        if !alive {
            deaths += 1;
            world.workers[0] = world.spawn(&order);
            start = tokio::time::Instant::now();
        }
        let dead = world.counts().is_some_and(|counts| counts.dead > 0);
        if dead {
            break;
        }
        let patience = Duration::from_secs(40);
        assert!(start.elapsed() < patience, "neither death nor poison");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut tally = world.end();
    tally.notes.push(format!("{deaths} deaths"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    let dead = world.deliveries(&[DeliveryState::Dead]);
    let ids: HashSet<_> = dead.iter().map(|r| r.delivery.id.to_string()).collect();
    assert_eq!(ids, guilty);
    assert_eq!(dead[0].dead_reason, Some(DeadReason::Poison));
    assert_eq!(deaths, 3);
    world.check_counts(1);
}

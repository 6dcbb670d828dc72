//! A node whose wall clock is wrong.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhooks_tests::Response;

use crate::form;
use crate::server::Kind;
use crate::world::{World, run_for};

/// The delay before the first retry, without its jitter of a tenth.
const RETRY: Duration = Duration::from_secs(5);

/// One of two workers lives an hour in the future: nothing is retried early, whoever scheduled it,
/// and signatures carry the storage's time.
pub(crate) fn an_hour_off(fault: &'static str) {
    xtask::require_faketime().unwrap();
    // The first request of every delivery fails.
    let seen = Mutex::new(HashSet::new());
    let mut world = World::responding(fault, Kind::Postgres, &[], move |request| {
        let delivery = request.header("x-webhook-delivery").to_owned();
        let is_first = seen.lock().unwrap().insert(delivery);
        Response::Status(if is_first { 503 } else { 200 })
    });
    let mut order = world.order(10);
    order.retry = RETRY;
    world.add_workers(1, &order);
    order.through = ["faketime", "-f", "+1h"].map(str::to_owned).into();
    world.add_workers(1, &order);
    run_for(form(7.0, 30.0));
    let mut tally = world.end();
    let early = early_retries(&world);
    tally.notes.push(format!("{early} early retries"));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert_eq!(early, 0);
    check_signatures(&world);
    world.check_counts(0);
}

fn early_retries(world: &World) -> usize {
    let mut last = HashMap::new();
    let arrivals = world.arrivals.all();
    let early = arrivals.iter().filter(|arrival| {
        let before = last.insert(&arrival.delivery, arrival.at);
        // A tenth of jitter, and another for how late the first request was noted.
        before.is_some_and(|before| arrival.at.duration_since(before) < RETRY * 8 / 10)
    });
    early.count()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the wall clock of this process is that of the database"
)]
fn check_signatures(world: &World) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for arrival in world.arrivals.all().iter() {
        let signed_at = arrival.signature.strip_prefix("t=");
        let signed_at = signed_at.and_then(|rest| rest.split(',').next());
        let signed_at: u64 = signed_at.unwrap().parse().unwrap();
        assert!(
            signed_at.abs_diff(now) < 600,
            "signed at {signed_at}, it is {now}"
        );
    }
}

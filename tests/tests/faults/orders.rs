//! Deliveries of a key arrive in order, whoever is killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use webhooks_tests::{Received, Response};

use crate::form;
use crate::server::Kind;
use crate::world::{World, run_for};

const KEYS: usize = 8;
const EVENT: &str = "ordered";

/// What has arrived of each key.
#[derive(Debug, Default)]
struct Seen {
    /// The number that comes next.
    next: HashMap<u64, u64>,
    /// What came while an earlier one was open.
    early: Vec<String>,
    requests: u64,
}

impl Seen {
    /// Notes a request; whether it is accepted. Every fourth is not.
    fn note(&mut self, request: &Received) -> bool {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let number = |field: &str| body["data"][field].as_u64().unwrap();
        let (key, number) = (number("key"), number("n"));
        self.requests += 1;
        let next = self.next.entry(key).or_default();
        if number > *next {
            self.early.push(format!("{number} of {key} before {next}"));
        }
        let is_accepted = !self.requests.is_multiple_of(4);
        if is_accepted {
            *next = (*next).max(number + 1);
        }
        is_accepted
    }
}

/// Kills workers at random moments while keys with long lines are worked off.
pub(crate) fn killed(fault: &'static str, kind: Kind) {
    let (kills, each) = form((4, 40), (30, 400));
    let seen = Arc::<Mutex<Seen>>::default();
    let noted = seen.clone();
    let response = move |request: &Received| {
        let is_accepted = noted.lock().unwrap().note(request);
        Response::After(
            Duration::from_millis(20),
            if is_accepted { 200 } else { 503 },
        )
    };
    let mut world = World::responding(fault, kind, &["--appendfsync", "always"], response);
    world.register_ordered(EVENT);
    let order = world.order(0);
    world.add_workers(2, &order);
    world.send_ordered(EVENT, KEYS, each);
    for _ in 0..kills {
        run_for(0.2 + fastrand::f64());
        let place = fastrand::usize(..world.workers.len());
        world.workers[place] = world.spawn(&order);
    }
    let mut tally = world.end();
    let seen = seen.lock().unwrap();
    tally.notes.push(format!("{} early", seen.early.len()));
    tally.report();
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    let counts = world.check_sum();
    // One whose workers died three times is given up, and the next goes without it.
    if counts.dead == 0 {
        assert_eq!(seen.early, Vec::<String>::new());
        assert!(seen.next.values().all(|next| *next == each as u64));
    }
    assert!(counts.dead <= form(0, kills), "{counts:?}");
}

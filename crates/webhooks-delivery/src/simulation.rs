//! A simulator: several processes, one storage and scripted endpoints in one thread and in virtual
//! time, all drawn from one seed.
//!
//! The scheduler, the memory storage and admission are the real ones. What `runtime/` does around them
//! is done again here, call by call, so that each may fail, be slow, or lose its answer. After each
//! step, rules are checked that are written down in `docs/ARCHITECTURE.md`, and the scheduler's
//! counts are counted anew.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs`, `happening.rs`, `receiver.rs` | what a seed stands for |
//! | `world.rs`, `event.rs`, `admin.rs` | time, and what happens in it |
//! | `storage.rs`, `ledger.rs` | calls of the storage with their faults, and what they did |
//! | `node.rs`, `committing.rs`, `claiming.rs`, `recording.rs`, `reading.rs`, `upkeep.rs`, `looking.rs`, `requesting.rs` | one process |
//! | `spy.rs`, `model.rs`, `checks.rs`, `checks/` | the rules |
//! | `trace.rs`, `shrink.rs` | what is told of a failure |

mod admin;
mod checks;
mod claiming;
mod committing;
mod event;
mod happening;
mod ledger;
mod looking;
mod model;
mod node;
mod plan;
mod reading;
mod receiver;
mod recording;
mod requesting;
mod shrink;
mod spy;
mod storage;
mod trace;
mod upkeep;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use self::plan::Plan;
use self::shrink::run;

/// Runs these seeds on so many threads, and tells of the first that breaks a rule.
fn simulate(from: u64, seeds: u64, threads: usize) {
    let next = AtomicU64::new(from);
    let failed = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        break;
                    }
                    let plan = Plan::draw(seed);
                    if let Err(violation) = run(&plan, false).outcome {
                        *failed.lock().unwrap() = Some((plan, violation));
                    }
                }
            });
        }
    });
    if let Some((plan, violation)) = failed.into_inner().unwrap() {
        panic!("{}", shrink::report(plan, violation));
    }
}

/// Some seeds; `cargo xtask simulate` asks for many by environment variables, optimised.
#[test]
fn whatever_happens_the_rules_are_kept() {
    let number = |name: &str, default| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    };
    let seeds = number("WEBHOOKS_SIMULATION_SEEDS", 80);
    let from = number("WEBHOOKS_SIMULATION_FROM", 0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    simulate(from, seeds, threads);
}

/// Each has found a fault once.
#[test]
fn what_was_mended_stays_so() {
    for seed in [27, 32, 36, 83, 152, 687, 831, 1171, 1863, 2041, 5415, 9331] {
        simulate(seed, 1, 1);
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..16 {
        let plan = Plan::draw(seed);
        let lines = || run(&plan, true).lines;
        let (first, again) = (lines(), lines());
        let differs = first.iter().zip(&again).find(|(a, b)| a != b);
        assert!(
            differs.is_none() && first.len() == again.len(),
            "seed {seed}: {differs:?}"
        );
    }
}

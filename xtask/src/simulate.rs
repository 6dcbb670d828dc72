//! `cargo xtask simulate [SEEDS] [FROM]`: the simulator of `webhooks-delivery`, optimised.

use crate::{Result, process};

/// Seeds of CI.
pub(crate) const FEW: &str = "1000";
const MANY: &str = "10000";

/// Runs so many seeds, from a seed on; on a failure tells of the shortest run that has it.
pub(crate) fn run(args: &[String]) -> Result {
    let (seeds, from) = match args {
        [] => (MANY, "0"),
        [seeds] => (seeds.as_str(), "0"),
        [seeds, from] => (seeds.as_str(), from.as_str()),
        _ => return Err("simulate takes a number of seeds, and the first of them".into()),
    };
    let test = [
        "test",
        "--package",
        "webhooks-delivery",
        "--all-features",
        "--lib",
    ];
    let profile = ["--profile", "simulation", "--"];
    let only = [
        "simulation::whatever_happens_the_rules_are_kept",
        "--exact",
        "--nocapture",
    ];
    let mut command = process::cargo([&test[..], &profile[..], &only[..]].concat());
    command.env("WEBHOOKS_SIMULATION_SEEDS", seeds);
    command.env("WEBHOOKS_SIMULATION_FROM", from);
    process::run(command)
}

//! Rows 11 and 12: single steps, timed in turn.

use tokio::time::Instant;
use webhooks_micro::{Step, find};

use crate::Result;
use crate::measure::median;
use crate::report::{Report, Target};

const ROUNDS: usize = 15;
const TIMES: usize = 10_000;

/// Row 11.
pub(crate) fn verify(report: &mut Report) -> Result {
    let names = ["verify_300_B", "hmac_300_B", "standardwebhooks_crate_300_B"];
    let [ours, bare, other] = nanos(names)?;
    report.figure("verify, 300 B", ours, "ns");
    report.figure("bare HMAC with a fresh key, 300 B", bare, "ns");
    report.figure("the crate standardwebhooks, 300 B", other, "ns");
    let row = "verify, 300 B, against a bare HMAC with a fresh key";
    report.row(11, row, ours / bare, "times", Target::AtMost(1.4));
    let row = "verify, 300 B, how much faster than the crate standardwebhooks";
    report.row(11, row, other / ours, "times", Target::AtLeast(4.0));
    Ok(())
}

/// Row 12.
pub(crate) fn matching(report: &mut Report) -> Result {
    let [nanos] = nanos(["match_100000_endpoints"])?;
    let row = "match of one event against 100,000 endpoints that want others";
    report.row(12, row, nanos / 1e3, "us", Target::AtMost(1.0));
    Ok(())
}

/// What each step takes.
fn nanos<const N: usize>(names: [&str; N]) -> Result<[f64; N]> {
    let mut steps = Vec::new();
    for name in names {
        let set_up = find(name).and_then(|case| (case.set_up)());
        steps.push(set_up.map_err(|error| error.to_string())?);
    }
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (step, times) in steps.iter_mut().zip(&mut rounds) {
            times.push(time(step));
        }
    }
    Ok(rounds.map(median))
}

fn time(step: &mut Step) -> f64 {
    let started = Instant::now();
    for _ in 0..TIMES {
        step();
    }
    started.elapsed().as_secs_f64() * 1e9 / TIMES as f64
}

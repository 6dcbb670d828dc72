//! Times the steps: `cargo xtask bench micro`.
#![expect(clippy::expect_used, reason = "a measurement that fails should stop")]

use divan::Bencher;
use webhooks_micro::{CASES, Case};

fn main() {
    divan::main();
}

#[divan::bench(args = CASES)]
fn step(bencher: Bencher<'_, '_>, case: &Case) {
    let step = (case.set_up)().expect("a step that can be set up");
    bencher.bench_local(step);
}

//! Sets a step up and runs it so many times, for a program that counts instructions to watch:
//! `webhooks-micro STEP TIMES`. Without arguments it lists the steps.
#![expect(clippy::print_stdout, reason = "a program talks to its caller")]

use webhooks_micro::{CASES, Error, Step, find};

fn main() -> Result<(), Error> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [name, times] => {
            let mut step = (find(name)?.set_up)()?;
            run_measured(&mut step, times.parse()?);
        }
        _ => CASES.iter().for_each(|case| println!("{case}")),
    }
    Ok(())
}

/// What is counted: callgrind looks for this name.
#[inline(never)]
fn run_measured(step: &mut Step, times: usize) {
    for _ in 0..times {
        step();
    }
}

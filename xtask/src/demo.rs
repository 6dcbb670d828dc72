//! `cargo xtask demo`: the quickstart example.

use crate::{Result, process};

/// Runs the example with these arguments.
pub(crate) fn run(args: &[String]) -> Result {
    let example = [
        "run",
        "--release",
        "-p",
        "better-auth-webhooks",
        "--example",
        "quickstart",
    ];
    let mut command = process::cargo(example);
    command.arg("--").args(args);
    process::run(command)
}

//! `cargo xtask demo`: the quickstart example.

use std::env;
use std::process::Command;

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

/// Runs the example as it was built for the tests: it ends with success if every count is as it
/// should be, and does not without a secret.
pub(crate) fn check() -> Result {
    let built = ["build", "--workspace", "--all-features", "--examples"];
    process::run(process::cargo(built))?;
    // Beside the program of these commands.
    let own = env::current_exe().map_err(|e| format!("cannot tell where xtask is: {e}"))?;
    let example = own.with_file_name("examples").join("quickstart");
    process::run(Command::new(&example))?;
    let mut incomplete = Command::new(&example);
    incomplete.args(["--events", "-", "--endpoint", "https://example.com/"]);
    match process::succeeds(&mut incomplete) {
        true => Err("the quickstart sends without a secret".to_owned()),
        false => Ok(()),
    }
}

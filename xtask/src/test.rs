//! `cargo xtask test`: all tests, on real servers.

use std::process::Command;

use crate::Result;
use crate::process::{self, Stop};
use crate::services::{POSTGRES_URL, REDIS_URL, Services};
use crate::{egress, install, pgbouncer};

/// Runs all tests and the examples in the docs. With arguments, which go to the test runner, only
/// the tests that they select.
pub(crate) fn run(args: &[String]) -> Result {
    let stop = Stop::on_signals()?;
    // What it takes for a success, the engine does too.
    if install::find("curl", &[]).is_none() {
        install::apt("curl", "curl")?;
    }
    let services = Services::start()?;
    if args.is_empty() {
        // Before the tests, which are processes of their own.
        pgbouncer::find_or_install()?;
        egress::find_or_install_all()?;
    }
    let with_services = |mut command: Command| {
        command.env(POSTGRES_URL, &services.postgres_url);
        command.env(REDIS_URL, &services.redis_url);
        command
    };
    stop.run(with_services(runner(args)))?;
    if args.is_empty() {
        let docs = process::cargo(["test", "--doc", "--workspace", "--all-features"]);
        stop.run(with_services(docs))?;
    }
    Ok(())
}

/// nextest, which gives each test its own process; without it, cargo's own runner.
fn runner(args: &[String]) -> Command {
    let nextest = process::succeeds(&mut process::cargo(["nextest", "--version"]));
    let mut command = if nextest {
        process::cargo(["nextest", "run"])
    } else {
        println!("cargo-nextest was not found, cargo test runs the tests");
        process::cargo(["test", "--tests"])
    };
    let selects = |arg: &String| arg.starts_with("-p") || arg.starts_with("--package");
    if !args.iter().any(selects) {
        command.arg("--workspace");
    }
    command.arg("--all-features").args(args);
    command
}

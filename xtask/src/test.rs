//! `cargo xtask test`: all tests, on real servers.

use std::process::Command;

use crate::Result;
use crate::process::{self, Stop};
use crate::services::{POSTGRES_URL, REDIS_URL, Services};
use crate::{egress, install, pgbouncer};

/// Programs that tests run, with the packages that bring them. What curl takes for a success, the engine
/// does too; the others run the examples of `docs/examples`.
const PROGRAMS: [(&str, &str); 4] = [
    ("curl", "curl"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("go", "golang-go"),
];

/// Runs all tests and the examples in the docs. With arguments, which go to the test runner, only
/// the tests that they select.
pub(crate) fn run(args: &[String]) -> Result {
    let stop = Stop::on_signals()?;
    for (program, package) in PROGRAMS {
        if install::find(program, &[]).is_none() {
            install::apt(program, package)?;
        }
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

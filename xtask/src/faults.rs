//! `cargo xtask faults`: kills processes and databases, and counts what arrives.

use std::fs;

use crate::Result;
use crate::install::{self, TempFolder};
use crate::process::{self, Stop};

/// Runs the fault tests, in the short form that CI runs or in the full one, and prints what each
/// came to.
pub(crate) fn run(args: &[String]) -> Result {
    let full = match args {
        [] => false,
        [form] if form == "full" => true,
        _ => return Err("faults takes nothing, or full".into()),
    };
    require_faketime()?;
    let stop = Stop::on_signals()?;
    let folder = TempFolder::new("faults")?;
    let report = folder.path().join("report");
    let mut command = process::cargo(["nextest", "run", "-p", "webhooks-tests"]);
    command.args(["--test", "faults", "--no-fail-fast"]);
    command.env("WEBHOOKS_FAULTS_REPORT", &report);
    if full {
        command.env("WEBHOOKS_FAULTS", "full");
        command.args(["--profile", "faults-full"]);
    }
    let done = stop.run(command);
    println!("\n{}", fs::read_to_string(&report).unwrap_or_default());
    done
}

/// Finds or installs the program that puts the clock of a process off.
///
/// # Errors
///
/// When it is missing and cannot be installed.
pub fn require_faketime() -> Result {
    if install::find("faketime", &[]).is_some() {
        return Ok(());
    }
    install::apt("faketime", "faketime")
}

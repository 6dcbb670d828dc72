//! `cargo xtask deny`: licences, bans, sources and advisories of the dependencies, by `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, install, process};

/// The version that `deny.toml` is written for.
const VERSION: &str = "^0.20";

/// Runs all checks; that of advisories only where their database is, because it comes from a server
/// that not every machine may reach.
pub(crate) fn run() -> Result {
    let program = install::cargo_tool("cargo-deny", VERSION)?;
    let check = |before: &[&str], what: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(before)
            .args(["check", "--hide-inclusion-graph"]);
        // Not every crate that may depend on another does so yet.
        command.args(["--allow", "unused-wrapper"]).args(what);
        process::run(command)
    };
    check(&[], &["bans", "licenses", "sources"])?;
    if !has_advisories() {
        println!("no advisory database (cargo deny fetch), advisories are not checked");
        return Ok(());
    }
    check(&["--offline"], &["advisories"])
}

fn has_advisories() -> bool {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let databases = cargo_home.unwrap_or_default().join("advisory-dbs");
    databases
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
}

//! `cargo xtask ci`: everything that CI runs, quick checks first.

use std::time::SystemTime;

use crate::{
    Result, api, callgrind, demo, deny, deploy, features, figures, layers, process, reference,
    rusqlite, simulate, test,
};

/// Runs one step after the other up to the first that fails, and tells how long each took.
pub(crate) fn run() -> Result {
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("layers", layers::run)?;
    step("figures", figures::run)?;
    step("reference", reference::check)?;
    step("clippy", || {
        let what = ["clippy", "--workspace", "--all-targets", "--all-features"];
        cargo(&[&what[..], &["--", "-D", "warnings"]].concat())
    })?;
    step("features", features::run)?;
    step("rusqlite", rusqlite::run)?;
    step("docs", docs)?;
    step("api", || api::run(&[]))?;
    step("test", || test::run(&[]))?;
    step("simulate", || simulate::run(&[simulate::FEW.into()]))?;
    step("demo", demo::check)?;
    step("deploy", deploy::run)?;
    step("callgrind", || callgrind::run(&[]))?;
    step("deny", deny::run)
}

fn docs() -> Result {
    let what = ["doc", "--no-deps", "--workspace", "--all-features"];
    let mut command = process::cargo(what);
    command.env("RUSTDOCFLAGS", "-D warnings");
    process::run(command)
}

fn cargo(args: &[&str]) -> Result {
    process::run(process::cargo(args))
}

fn step(name: &str, run: impl FnOnce() -> Result) -> Result {
    println!("== {name}");
    let started = now();
    let done = run();
    let seconds = now().duration_since(started).unwrap_or_default().as_secs();
    let word = if done.is_ok() { "passed" } else { "failed" };
    println!("== {name} {word} after {seconds} s\n");
    done.map_err(|error| format!("{name}: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer waits for these steps"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

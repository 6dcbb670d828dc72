//! `cargo xtask fuzz [TARGET] [SECONDS]`: the fuzz targets, for long.

use std::path::Path;
use std::process::Command;

use crate::{Result, install, process};

/// The version that `fuzz/` is written for.
const VERSION: &str = "^0.13";
/// What a run finds beyond the corpora of `fuzz/corpus`.
const FOUND: &str = "target/fuzz-corpus";
/// How long each target runs unless told otherwise.
const SECONDS: &str = "60";
/// The longest input, in bytes: a little over the longest bound of what is fuzzed.
const MAX_LENGTH: usize = 6_000;

/// Runs one target, or each in turn.
pub(crate) fn run(args: &[String]) -> Result {
    let (target, seconds) = match args {
        [] => (None, SECONDS),
        [one] if is_number(one) => (None, one.as_str()),
        [target] => (Some(target), SECONDS),
        [target, seconds] if is_number(seconds) => (Some(target), seconds.as_str()),
        _ => return Err("usage: cargo xtask fuzz [TARGET] [SECONDS]".to_owned()),
    };
    let all = targets()?;
    let chosen: Vec<_> = all
        .iter()
        .filter(|name| target.is_none_or(|wanted| wanted == *name))
        .collect();
    if chosen.is_empty() {
        return Err(format!("there are the targets {}", all.join(", ")));
    }
    let program = install::cargo_tool("cargo-fuzz", VERSION)?;
    chosen
        .into_iter()
        .try_for_each(|name| fuzz(&program, name, seconds))
}

/// The targets, by the names of their corpora.
fn targets() -> Result<Vec<String>> {
    let folders = Path::new("fuzz/corpus").read_dir();
    let folders = folders.map_err(|e| format!("fuzz/corpus: {e}"))?;
    let mut names: Vec<_> = folders
        .flatten()
        .filter_map(|folder| folder.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn fuzz(program: &Path, name: &str, seconds: &str) -> Result {
    println!("== {name}, {seconds} s");
    let found = Path::new(FOUND).join(name);
    std::fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
    let mut command = Command::new(program);
    // Sanitizers need a nightly toolchain; the cargo that runs this is of another.
    command
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command.args(["run", name, "--target-dir", "target/fuzz"]);
    command.arg(found).arg(Path::new("fuzz/corpus").join(name));
    command.arg("--");
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-max_len={MAX_LENGTH}"));
    process::run(command)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

//! `cargo xtask callgrind`: the instructions of single steps, which no other load on the machine
//! changes, against a checked-in table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::{Result, files, install, process};

const TABLE: &str = "tests/micro/instructions.json";
const PROGRAM: &str = "target/release/webhooks-micro";
/// The function of the program whose instructions count; the rest sets the step up.
const COUNTED: &str = "--toggle-collect=*run_measured*";
/// How often it runs the step.
const TIMES: u64 = 100;
/// A change that is worth a word, in parts of the table's figure.
const NOTED: f64 = 0.10;
/// A regression that fails: more than another processor or compiler brings.
const REFUSED: f64 = 0.35;

/// Compares with the table, or with `bless` writes it anew.
pub(crate) fn run(args: &[String]) -> Result {
    let bless = match args {
        [] => false,
        [word] if word == "bless" => true,
        _ => return Err("callgrind takes nothing, or bless".into()),
    };
    if install::find("valgrind", &[]).is_none() {
        install::apt("valgrind", "valgrind")?;
    }
    let build = [
        "build",
        "--release",
        "-p",
        "webhooks-micro",
        "--bin",
        "webhooks-micro",
    ];
    process::run(process::cargo(build))?;
    let program = std::path::absolute(PROGRAM).map_err(|e| e.to_string())?;
    let steps = process::output(Command::new(&program))?;
    let steps: Vec<&str> = steps.lines().collect();
    let counts = count_all(&program, &steps)?;
    if bless {
        let text = serde_json::to_string_pretty(&counts).map_err(|e| e.to_string())?;
        return files::write(Path::new(TABLE), &(text + "\n"));
    }
    let table = fs::read_to_string(TABLE).map_err(|e| format!("{TABLE}: {e}"))?;
    let table: Value = serde_json::from_str(&table).map_err(|e| format!("{TABLE}: {e}"))?;
    compare(&counts, &table)
}

/// Counts all steps, on as many cores as there are.
fn count_all(program: &Path, steps: &[&str]) -> Result<BTreeMap<String, u64>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let counts: Vec<Result<Vec<_>>> = thread::scope(|scope| {
        let count = |core| {
            let share = steps.iter().skip(core).step_by(cores);
            share
                .map(|step| Ok(((*step).to_owned(), count(program, step)?)))
                .collect()
        };
        let workers: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || count(core)))
            .collect();
        let lost = || Err("a count was lost".to_owned());
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| lost()))
            .collect()
    });
    let counts: Vec<_> = counts.into_iter().collect::<Result<_>>()?;
    Ok(counts.into_iter().flatten().collect())
}

/// The instructions of one run of a step.
fn count(program: &Path, step: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", COUNTED])
        .arg(program)
        .args([step, &TIMES.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|e| format!("valgrind: {e}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let count = told.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected :")?;
        count.trim().parse::<u64>().ok()
    });
    count
        .filter(|count| *count > 0 && output.status.success())
        .map(|count| count / TIMES)
        .ok_or_else(|| format!("valgrind counted nothing of {step}:\n{told}"))
}

/// Prints both, and what has changed; fails if something became much dearer or is not in the table.
fn compare(counts: &BTreeMap<String, u64>, table: &Value) -> Result {
    let mut worse = Vec::new();
    println!("{:<34} {:>12} {:>12}", "instructions", "table", "now");
    for (step, now) in counts {
        let Some(then) = table.get(step).and_then(Value::as_u64) else {
            worse.push(format!("{step} is not in {TABLE}"));
            continue;
        };
        let change = *now as f64 / then as f64 - 1.0;
        let word = match change {
            change if change > REFUSED => "WORSE",
            change if change > NOTED => "more",
            change if change < -NOTED => "less",
            _ => "",
        };
        println!(
            "{step:<34} {then:>12} {now:>12} {:>+7.1} % {word}",
            change * 100.0
        );
        if change > REFUSED {
            worse.push(format!("{step} takes {now} instructions, it took {then}"));
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    worse.push("`cargo xtask callgrind bless` writes the table anew".into());
    Err(worse.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(now: u64) -> BTreeMap<String, u64> {
        [("sign".to_owned(), now)].into()
    }

    #[test]
    fn a_step_that_became_much_dearer_fails_and_is_named() {
        let error = compare(&counts(2_000), &json!({ "sign": 1_000 })).unwrap_err();
        assert!(error.contains("sign takes 2000"));
    }

    #[test]
    fn a_small_change_and_a_gain_pass() {
        assert_eq!(compare(&counts(1_100), &json!({ "sign": 1_000 })), Ok(()));
        assert_eq!(compare(&counts(400), &json!({ "sign": 1_000 })), Ok(()));
    }

    #[test]
    fn a_step_without_a_figure_in_the_table_fails() {
        assert!(compare(&counts(1), &json!({})).is_err());
    }
}

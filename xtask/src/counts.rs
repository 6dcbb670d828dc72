//! `cargo xtask counts`: what one delivery costs in allocations, system calls and locks. These differ
//! less between runs and machines than times do, so that a change of the dispatcher shows in them.
//!
//! perf counts, since it leaves the program's timing alone: under strace or valgrind other batches
//! form than in earnest.

mod locks;
mod perf;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use self::locks::Probes;
use crate::{Result, install, process, workspace};

/// How often allocations are counted; the median is told.
const ROUNDS: usize = 3;
/// Deliveries of the shorter run; the longer one has three times as many, and what both need beside
/// them falls out of the difference.
const DELIVERIES: u32 = 20_000;
/// What is told at all, a delivery.
const LEAST: f64 = 0.005;

/// Counts everything in each of the ways.
pub(crate) fn run() -> Result {
    if install::find("perf", &[]).is_none() {
        install::apt("perf", "linux-perf")?;
    }
    let release = ["bench", "-p", "webhooks-tests", "--no-run"];
    let counts = build(&release, "counts")?;
    let sink = Sink::start(&build(&release, "system")?)?;
    // Without optimisation every guard is dropped by a call, and each type of guard has its own.
    let dev = build(&["build", "--workspace", "--all-features"], "counts")?;
    let probes = Probes::new(&dev)?;
    for mode in ["one", "fan_out", "http"] {
        let run = |program: &Path, deliveries: u32| {
            let mut command = Command::new(program);
            command.args([mode, &deliveries.to_string()]);
            command.args((mode == "http").then_some(&sink.url));
            command
        };
        println!("== {mode}");
        for line in allocations(&|| run(&counts, 3 * DELIVERIES))? {
            println!("{line}");
        }
        let calls = perf::per_delivery(&perf::SYSTEM_CALLS, DELIVERIES, &|n| run(&counts, n))?;
        tell("system calls", calls);
        let locks = perf::per_delivery(&[probes.events()], DELIVERIES, &|n| run(&dev, n))?;
        tell("locks", probes.names(locks));
    }
    Ok(())
}

/// The medians of what the program prints about itself.
fn allocations(run: &dyn Fn() -> Command) -> Result<Vec<String>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let text = process::output(run())?;
        let lines = text.lines().map(|line| {
            let (what, number) = line.rsplit_once(' ').unwrap_or((line, ""));
            (what.to_owned(), number.parse().unwrap_or(f64::NAN))
        });
        rounds.push(lines.collect::<Vec<_>>());
    }
    let first = rounds.first().cloned().unwrap_or_default();
    Ok(first
        .iter()
        .enumerate()
        .map(|(n, (what, _))| {
            let numbers = rounds.iter().filter_map(|round| round.get(n));
            let mut numbers: Vec<f64> = numbers.map(|(_, number)| *number).collect();
            numbers.sort_by(f64::total_cmp);
            let median = numbers.get(ROUNDS / 2).copied().unwrap_or(f64::NAN);
            format!("{median:10.2}  {what}")
        })
        .collect())
}

/// Prints the sum and what it is made of, the most frequent first.
fn tell(what: &str, mut counts: Vec<(String, f64)>) {
    counts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let sum: f64 = counts.iter().map(|(_, count)| count).sum();
    println!("{sum:10.2}  {what}");
    for (name, count) in counts.iter().filter(|(_, count)| *count >= LEAST) {
        println!("{count:14.3}  {name:.100}");
    }
}

/// Builds a program of the benchmarks, and says where it is.
fn build(how: &[&str], bench: &str) -> Result<PathBuf> {
    let mut command = process::cargo(how);
    command.args(["--bench", bench, "--message-format=json-render-diagnostics"]);
    let messages = process::output(command)?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let program = messages
        .filter(|message: &Value| {
            let name = message.pointer("/target/name").and_then(Value::as_str);
            name == Some(bench)
        })
        .map(|message| workspace::text(&message, "executable").to_owned())
        .rfind(|program| !program.is_empty());
    program
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo built no {bench}"))
}

/// The receiver of the benchmark, in a process of its own.
struct Sink {
    child: Child,
    url: String,
}

impl Sink {
    fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        // It ends when its input does, at the latest with this process.
        command.arg("--sink").stdin(Stdio::piped());
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("{}: {e}", program.display()))?;
        let mut port = String::new();
        if let Some(output) = child.stdout.as_mut() {
            let read = BufReader::new(output).read_line(&mut port);
            read.map_err(|e| format!("the receiver told no port: {e}"))?;
        }
        let url = format!("http://127.0.0.1:{}/", port.trim());
        Ok(Self { child, url })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

//! Events of the kernel while a program runs, counted by perf.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::Result;

/// Every system call by its name.
pub(super) const SYSTEM_CALLS: [&str; 1] = ["syscalls:sys_enter_*"];

/// The events for each delivery of the longer of two runs over the shorter, by name.
pub(super) fn per_delivery(
    events: &[&str],
    deliveries: u32,
    run: &dyn Fn(u32) -> Command,
) -> Result<Vec<(String, f64)>> {
    let short = count(events, &run(deliveries))?;
    let long = count(events, &run(3 * deliveries))?;
    let each = |(name, count): (String, u64)| {
        let before = short.get(&name).copied().unwrap_or_default();
        let more = count as f64 - before as f64;
        (name, more / f64::from(2 * deliveries))
    };
    Ok(long.into_iter().map(each).collect())
}

fn count(events: &[&str], program: &Command) -> Result<BTreeMap<String, u64>> {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", &events.join(",")]);
    command.arg(program.get_program()).args(program.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|e| format!("perf: {e}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let counts: BTreeMap<_, _> = told.lines().filter_map(event).collect();
    if !output.status.success() || counts.is_empty() {
        return Err(format!("perf counted nothing, which root may do:\n{told}"));
    }
    Ok(counts)
}

/// A line of `perf stat -x,`: count, unit, event.
fn event(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split(',');
    let count = fields.next()?.parse().ok()?;
    let (_, event) = fields.nth(1)?.split_once(':')?;
    Some((event.trim_start_matches("sys_enter_").to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_and_another_line_is_not() {
        let line = "4688,,syscalls:sys_enter_futex,685386526,100.00,,";
        assert_eq!(event(line), Some(("futex".to_owned(), 4688)));
        assert_eq!(event("<not counted>,,syscalls:sys_enter_read,0,0,,"), None);
        assert_eq!(event(""), None);
    }
}

//! Locks that were taken, by what they hold: the kernel counts how often each guard is dropped.
//!
//! These are the mutexes and read-write locks of std, `parking_lot` and Tokio, ours and those inside
//! Tokio. Atomics, channels and what the kernel locks are none. Waiting for a lock shows in the
//! system call `futex` alone.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::{Result, process};

/// Where probes are set and taken away (the kernel's `Documentation/trace/uprobetracer.rst`).
const PROBES: &str = "/sys/kernel/tracing/uprobe_events";
const GROUP: &str = "webhooks_locks";
const DROP: &str = "core::ptr::drop_in_place<";
const GUARDS: &[&str] = &[
    "std::sync::poison::mutex::MutexGuard<",
    "std::sync::poison::rwlock::RwLock",
    "lock_api::mutex::",
    "lock_api::rwlock::",
    "tokio::sync::mutex::",
    "tokio::sync::rwlock::",
];

/// A probe on the drop of each type of guard in a program; they go when this is dropped.
pub(super) struct Probes {
    /// What is locked, by the name of the probe.
    names: BTreeMap<String, String>,
    events: String,
}

impl Probes {
    pub(super) fn new(program: &Path) -> Result<Self> {
        let mut symbols = Command::new("nm");
        symbols.arg("--demangle").arg(program);
        let mut headers = Command::new("readelf");
        headers.args(["--program-headers", "--wide"]).arg(program);
        let shift = code_shift(&process::output(headers)?)
            .ok_or_else(|| format!("{} has no code", program.display()))?;
        let mut probes = Self {
            names: BTreeMap::new(),
            events: format!("{GROUP}:*"),
        };
        let symbols = process::output(symbols)?;
        for (address, name) in symbols.lines().filter_map(guard) {
            let probe = format!("lock_{}", probes.names.len());
            let at = address - shift;
            set(&format!("p:{GROUP}/{probe} {}:{at:#x}", program.display()))?;
            probes.names.insert(probe, name);
        }
        Ok(probes)
    }

    /// All of them, as perf names them.
    pub(super) fn events(&self) -> &str {
        &self.events
    }

    /// The counts by what is locked; several probes may be for the same.
    pub(super) fn names(&self, counts: Vec<(String, f64)>) -> Vec<(String, f64)> {
        let mut named: BTreeMap<&str, f64> = BTreeMap::new();
        for (probe, count) in counts {
            if let Some(name) = self.names.get(&probe) {
                *named.entry(name).or_default() += count;
            }
        }
        let named = named.into_iter();
        named.map(|(name, n)| (name.to_owned(), n)).collect()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        for probe in self.names.keys() {
            if let Err(error) = set(&format!("-:{GROUP}/{probe}")) {
                eprintln!("{error}");
            }
        }
    }
}

fn set(line: &str) -> Result {
    let unable = |e| format!("{PROBES}, which root may write to: {line}: {e}");
    let mut file = OpenOptions::new()
        .append(true)
        .open(PROBES)
        .map_err(unable)?;
    file.write_all(line.as_bytes()).map_err(unable)
}

/// How much higher the code's addresses are than its places in the file.
fn code_shift(headers: &str) -> Option<u64> {
    let code = headers
        .lines()
        .find(|line| line.contains("LOAD") && line.contains("R E"))?;
    let mut numbers = code.split_whitespace().filter_map(|word| {
        let hex = word.strip_prefix("0x")?;
        u64::from_str_radix(hex, 16).ok()
    });
    let offset = numbers.next()?;
    numbers.next()?.checked_sub(offset)
}

/// The address of the symbol and what is locked, if it is the drop of a guard.
fn guard(symbol: &str) -> Option<(u64, String)> {
    let (address, rest) = symbol.split_once(' ')?;
    let dropped = rest.get(2..)?.strip_prefix(DROP)?.strip_suffix('>')?;
    if !GUARDS.iter().any(|guard| dropped.starts_with(guard)) {
        return None;
    }
    let address = u64::from_str_radix(address, 16).ok()?;
    let (guard, held) = dropped.split_once('<')?;
    let kind = guard.rsplit("::").next()?;
    Some((address, format!("{kind}<{held}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_of_a_guard_is_told_from_other_symbols() {
        let at = "00000000003a1c50 t core::ptr::drop_in_place<";
        let lane = format!("{at}std::sync::poison::mutex::MutexGuard<webhooks::Lane>>");
        let found = Some((0x003a_1c50, "MutexGuard<webhooks::Lane>".to_owned()));
        assert_eq!(guard(&lane), found);
        assert_eq!(guard(&format!("{at}core::option::Option<u8>>")), None);
        assert_eq!(guard("U malloc"), None);
    }

    #[test]
    fn the_place_in_the_file_comes_from_the_segment_of_code() {
        let headers = "\
            LOAD 0x000000 0x0000000000000000 0x0 0x36b58c 0x36b58c R   0x1000\n\
            LOAD 0x36b5c0 0x000000000036c5c0 0x0 0x689ea0 0x689ea0 R E 0x1000\n";
        assert_eq!(code_shift(headers), Some(0x1000));
    }
}

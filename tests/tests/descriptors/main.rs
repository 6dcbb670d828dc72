//! What a process does that has few descriptors, few local ports, or slow name servers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failed test may panic in its helpers too, and tells what it left out"
)]

mod child;
mod hosts;

use std::process::{Command, Output, Stdio};

use crate::hosts::Hosts;

/// Runs a scenario of [`child`] in a process of its own, after these commands of the shell.
fn run(scenario: &str, before: &str, hosts: &Hosts) -> Output {
    let this = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(this)
        .args(["child::scenario", "--exact", "--ignored", "--nocapture"])
        .env(child::SCENARIO, scenario)
        .env(child::PORT, hosts.port().to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn passes(scenario: &str, before: &str, hosts: &Hosts) -> String {
    let output = run(scenario, before, hosts);
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{scenario} after {before}\n{told}");
    told
}

#[test]
fn hosts_that_keep_connections_leave_descriptors_for_others() {
    let hosts = Hosts::start();
    let told = passes("crowd", "ulimit -n 1024", &hosts);
    assert!(
        !told.contains("short of descriptors"),
        "there are enough\n{told}"
    );
    assert!(!told.contains("raise the limit"), "{told}");
}

#[test]
fn with_too_few_descriptors_nothing_is_counted_against_anybody() {
    let hosts = Hosts::start();
    let told = passes("crowd", "ulimit -n 200", &hosts);
    assert!(told.contains("may have 200 files open"), "{told}");
}

#[test]
fn without_a_descriptor_nothing_is_tried_and_everything_goes_once_there_is_one() {
    passes("none left", "ulimit -n 128", &Hosts::start());
}

#[test]
fn without_a_descriptor_a_name_that_does_not_resolve_is_not_tried() {
    passes("names", "ulimit -n 128", &Hosts::start());
}

#[test]
fn without_a_local_port_nothing_is_tried() {
    in_namespaces("--net", "ports");
}

#[test]
fn names_that_do_not_resolve_in_time_hold_up_nobody_else() {
    in_namespaces("--net --mount", "slow names");
}

/// Runs a scenario that changes the network of its process, and perhaps files.
fn in_namespaces(which: &str, scenario: &str) {
    let unshare = format!("unshare {which}");
    let works = Command::new("sh")
        .args(["-c", &format!("{unshare} true")])
        .status();
    if !works.is_ok_and(|status| status.success()) {
        return eprintln!("left out: this machine allows no namespaces");
    }
    let before = format!("exec {unshare} \"$0\" \"$@\"");
    passes(scenario, &before, &Hosts::start());
}

//! What a process does that has few descriptors, few local ports, or slow name servers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failed test may panic in its helpers too, and a scenario tells what was logged"
)]

mod child;
mod hosts;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

use crate::hosts::Hosts;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(child::SCENARIO) {
        return child::main(&args.collect::<Vec<_>>());
    }
    libtest_mimic::run(&Arguments::from_args(), tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    vec![
        test(
            "hosts_that_keep_connections_leave_descriptors_for_others",
            hosts_that_keep_connections_leave_descriptors_for_others,
        ),
        test(
            "with_too_few_descriptors_nothing_is_counted_against_anybody",
            with_too_few_descriptors_nothing_is_counted_against_anybody,
        ),
        test(
            "without_a_descriptor_nothing_is_tried_and_everything_goes_once_there_is_one",
            || passes("none left", "ulimit -n 128", &Hosts::start()),
        ),
        test(
            "without_a_descriptor_a_name_that_does_not_resolve_is_not_tried",
            || passes("names", "ulimit -n 128", &Hosts::start()),
        ),
        test("without_a_local_port_nothing_is_tried", || {
            in_namespaces("--net", "ports")
        }),
        test(
            "names_that_do_not_resolve_in_time_hold_up_nobody_else",
            || in_namespaces("--net --mount", "slow names"),
        ),
    ]
}

/// A test; what it returns is only for others to look at.
fn test<T>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Trial {
    Trial::test(name, || {
        run();
        Ok(())
    })
}

/// What a scenario of [`child`] says that passes, in a process of its own, after these commands of
/// the shell.
fn passes(scenario: &str, before: &str, hosts: &Hosts) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([child::SCENARIO, scenario, &hosts.port().to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{scenario} after {before}\n{told}");
    told
}

fn hosts_that_keep_connections_leave_descriptors_for_others() {
    let hosts = Hosts::start();
    let told = passes("crowd", "ulimit -n 1024", &hosts);
    assert!(
        !told.contains("short of descriptors"),
        "there are enough\n{told}"
    );
    assert!(!told.contains("raise the limit"), "{told}");
}

fn with_too_few_descriptors_nothing_is_counted_against_anybody() {
    let hosts = Hosts::start();
    let told = passes("crowd", "ulimit -n 200", &hosts);
    assert!(told.contains("may have 200 files open"), "{told}");
}

/// Runs a scenario that changes the network of its process, and perhaps files, in namespaces of its
/// own. Who is not root there is so within one of users.
fn in_namespaces(which: &str, scenario: &str) -> String {
    let map = format!("unshare {which} true 2>/dev/null || map=--map-root-user");
    let before = format!("{map}; exec unshare $map {which} \"$0\" \"$@\"");
    passes(scenario, &before, &Hosts::start())
}

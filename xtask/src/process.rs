//! Starting other programs, and stopping when the user says so.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::Result;

/// How often a child is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Set once by SIGINT, SIGTERM or SIGHUP.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on these signals no longer end this process, but set the flag.
    pub(crate) fn on_signals() -> Result<Self> {
        let stop = Self(Arc::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))
                .map_err(|e| format!("cannot handle signal {signal}: {e}"))?;
        }
        Ok(stop)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns once the flag is set.
    pub(crate) fn wait(&self) {
        while !self.is_set() {
            thread::sleep(GLANCE);
        }
    }

    /// Runs the command to its end; ends it, and all that it started, when the flag is set.
    pub(crate) fn run(&self, mut command: Command) -> Result {
        let what = describe(&command);
        // A group outside the terminal's own must not read from the terminal: it would be stopped.
        command.process_group(0).stdin(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|e| format!("cannot start {what}: {e}"))?;
        loop {
            if let Some(status) = poll(&mut child)? {
                return check(&what, status);
            }
            if self.is_set() {
                stop_group(&mut child, "TERM", Duration::from_secs(10));
                return Err(format!("{what} was interrupted"));
            }
            thread::sleep(GLANCE);
        }
    }
}

/// Cargo itself, as it was called for this tool.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told this tool about its own package. The build script of ring asks for it, and
    // would be run again, with all that depends on ring, whenever cargo is called without xtask.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// Runs the command to its end.
pub(crate) fn run(mut command: Command) -> Result {
    let what = describe(&command);
    let status = command
        .status()
        .map_err(|e| format!("cannot start {what}: {e}"))?;
    check(&what, status)
}

/// What the command prints.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let what = describe(&command);
    let done = command.stderr(Stdio::inherit()).output();
    let Output { status, stdout, .. } = done.map_err(|e| format!("cannot start {what}: {e}"))?;
    check(&what, status)?;
    String::from_utf8(stdout).map_err(|e| format!("{what}: {e}"))
}

/// Whether the command can be started and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The status of the child, once it has ended.
pub(crate) fn poll(child: &mut Child) -> Result<Option<ExitStatus>> {
    child
        .try_wait()
        .map_err(|e| format!("cannot wait for a child: {e}"))
}

/// Sends the signal to the child, waits, and then kills it if it is left.
pub(crate) fn stop_child(child: &mut Child, signal: &str, patience: Duration) {
    kill(&child.id().to_string(), signal);
    wait_or_kill(child, patience);
}

/// The same for a child that leads a process group, and for all in it.
fn stop_group(child: &mut Child, signal: &str, patience: Duration) {
    let group = format!("-{}", child.id());
    kill(&group, signal);
    wait_or_kill(child, patience);
    kill(&group, "KILL");
}

/// The standard library knows only SIGKILL to a child, and every shell has this command built in.
pub(crate) fn kill(process: &str, signal: &str) {
    let command = format!("kill -s {signal} -- {process}");
    succeeds(Command::new("sh").arg("-c").arg(command));
}

/// The processes that this one started and that run (proc(5)).
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    ids.filter(is_child).collect()
}

fn wait_or_kill(child: &mut Child, patience: Duration) {
    for _ in 0..patience.as_millis() / GLANCE.as_millis() {
        match child.try_wait() {
            Ok(None) => thread::sleep(GLANCE),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    drop(child.kill());
    drop(child.wait());
}

fn check(what: &str, status: ExitStatus) -> Result {
    if status.success() {
        return Ok(());
    }
    Err(format!("{what} failed: {status}"))
}

fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

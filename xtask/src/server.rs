//! What every private server needs: a port, a log, and somebody who waits until it is ready.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use crate::{Result, process};

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|e| format!("no free port: {e}"))?;
    Ok(address.port())
}

/// A port as [`free_port`], of which that 10,000 higher is free too: the nodes of a cluster talk on it.
pub(crate) fn free_port_pair() -> Result<u16> {
    for _ in 0..1_000 {
        let port = free_port()?;
        let other = port.checked_add(10_000);
        if other.is_some_and(|other| TcpListener::bind((Ipv4Addr::LOCALHOST, other)).is_ok()) {
            return Ok(port);
        }
    }
    Err("no two free ports that are 10,000 apart".into())
}

/// The log of a server, to be written on at its end.
pub(crate) fn log(path: &Path) -> Result<File> {
    let log = File::options().create(true).append(true).open(path);
    log.map_err(|e| format!("cannot open {}: {e}", path.display()))
}

/// What the server has written to its log.
pub(crate) fn told(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

/// Waits until the server is ready; its log is in the error if it ends or takes too long.
pub(crate) fn wait_until_ready(
    name: &str,
    server: &mut Child,
    log: &Path,
    mut is_ready: impl FnMut() -> bool,
) -> Result {
    for _ in 0..300 {
        if let Some(status) = process::poll(server)? {
            return Err(format!("{name} ended with {status}\n{}", told(log)));
        }
        if is_ready() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(format!("{name} was not ready within 30 s\n{}", told(log)))
}

/// Waits until servers that are up are as they should be, for 30 s. An error of the question is only told
/// when the time is over.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result {
    let mut told = is_so();
    for _ in 0..300 {
        if told == Ok(true) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
        told = is_so();
    }
    Err(format!("not within 30 s: {what} ({told:?})"))
}

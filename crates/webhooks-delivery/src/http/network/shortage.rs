//! Whether something failed because this process, or its machine, is short of what it takes: of
//! descriptors, memory, or local ports. That says nothing of who was to be reached.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Descriptors that a look-up of a name may need at once: files of the resolver, and sockets.
/// `/etc/hosts`, `resolv.conf` and a socket for each of two name servers.
const FOR_A_LOOKUP: usize = 4;
/// How long after a shortage showed a failed look-up may come from it.
/// Shortages come in bursts, and by the time a look-up has failed others may have freed what it
/// lacked.
const LASTS: Duration = Duration::from_secs(2);

/// When one showed last, anywhere in this process.
/// One for the process, since descriptors are.
static SHOWED: Mutex<Option<Instant>> = Mutex::new(None);

/// The cause of an error where its own code does not tell.
#[derive(Debug)]
pub(crate) struct Shortage;

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this process is short of descriptors, local ports or memory")
    }
}

impl Error for Shortage {}

impl From<Shortage> for io::Error {
    fn from(shortage: Shortage) -> Self {
        Self::other(shortage)
    }
}

/// Whether the error, or what caused it, is a shortage of this process.
pub(crate) fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    // Each finding is noted, so that look-ups that fail at the same time are not blamed on name
    // servers.
    let found = shows(error);
    if found {
        let mut showed = SHOWED.lock().unwrap_or_else(PoisonError::into_inner);
        *showed = Some(Instant::now());
    }
    found
}

fn shows(error: &(dyn Error + 'static)) -> bool {
    if error.is::<Shortage>() {
        return true;
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // The source of such an error is that of what is in it.
        // TLS and HTTP wrap errors of the socket several layers deep, each in its own way.
        let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        if has_code(error) || inner.is_some_and(shows) {
            return true;
        }
    }
    error.source().is_some_and(shows)
}

#[cfg(unix)]
fn has_code(error: &io::Error) -> bool {
    use rustix::io::Errno;
    // NOSPC: the system watches as many descriptors as it may for one user.
    const CODES: [Errno; 5] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NOSPC,
    ];
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    code.is_some_and(|code| CODES.contains(&code)) || error.kind() == io::ErrorKind::OutOfMemory
}

#[cfg(not(unix))]
fn has_code(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// Whether a connection to `address`, which failed for want of a local address, would have had one
/// with a port: then it is ports that are short. Else this machine does not reach such addresses.
pub(crate) fn lacks_ports(error: &io::Error, address: SocketAddr) -> bool {
    if error.kind() != io::ErrorKind::AddrNotAvailable {
        return false;
    }
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Sends nothing, but looks for a route and the address to send from.
    match UdpSocket::bind(any).and_then(|socket| socket.connect(address)) {
        Ok(()) => true,
        Err(error) => is_shortage(&error),
    }
}

/// Whether a look-up that has just failed may have done so for want of descriptors: what resolves
/// names tells of that as if the name did not exist.
pub(crate) fn may_have_hit_a_lookup() -> bool {
    let opened: Result<Vec<_>, _> = (0..FOR_A_LOOKUP)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect();
    if opened.is_err_and(|error| is_shortage(&error)) {
        return true;
    }
    let showed = SHOWED.lock().unwrap_or_else(PoisonError::into_inner);
    showed.is_some_and(|at| at.elapsed() < LASTS)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_shortage_is_found_wherever_in_an_error_it_is() {
        let short = || io::Error::from(Errno::MFILE);
        assert!(is_shortage(&short()));
        assert!(is_shortage(&io::Error::other(short())));
        assert!(is_shortage(&io::Error::other(io::Error::other(Shortage))));
        assert!(is_shortage(&io::Error::from(io::ErrorKind::OutOfMemory)));
        for code in [Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_shortage(&io::Error::from(code)));
        }
    }

    #[test]
    fn what_peers_and_routes_do_is_none() {
        for code in [
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::PIPE,
            Errno::ACCESS,
        ] {
            let error = io::Error::from(code);
            assert!(!is_shortage(&error), "{code:?}");
            assert!(!lacks_ports(&error, (Ipv4Addr::LOCALHOST, 1).into()));
        }
    }

    #[test]
    fn a_machine_without_such_addresses_is_not_short_of_ports() {
        let error = io::Error::from(Errno::ADDRNOTAVAIL);
        assert!(lacks_ports(&error, (Ipv4Addr::LOCALHOST, 1).into()));
        // A scope that no interface has.
        let nowhere = "[fe80::1%4000000000]:1".parse().unwrap();
        assert!(!lacks_ports(&error, nowhere));
    }
}

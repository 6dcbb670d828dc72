//! What an egress proxy is asked for, and by whom.

use std::fmt;
use std::net::SocketAddr;

use zeroize::Zeroizing;

/// Who we are to the proxy.
#[derive(Clone)]
pub(crate) struct Login {
    pub(super) user: Zeroizing<Vec<u8>>,
    pub(super) password: Zeroizing<Vec<u8>>,
}

/// What it is asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// That was judged.
    /// The proxy connects to just this, and asks no name server.
    Address(SocketAddr),
    /// A name, with its port, which it resolves.
    Name(String, u16),
}

/// Why it gave no tunnel.
#[derive(Debug)]
pub(super) enum Refused {
    /// It works, and could not or would not reach the destination.
    Destination,
    /// It does not do what a proxy does, or not for us.
    Proxy(&'static str),
}

impl Destination {
    /// The address, if it is one.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(..) => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

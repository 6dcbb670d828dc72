//! At which step no connection came about.

use std::io;

use super::Untried;
use super::shortage::is_shortage;

/// At which step no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// An address that stands in the URL is refused.
    Literal,
    /// The name has no address, or the look-up failed.
    Dns,
    /// The name has addresses, and all of them are refused.
    Addresses,
    /// No address answered, or the proxy did not reach any.
    Tcp,
    /// The handshake failed, or the certificate is not good.
    Tls,
    /// At none: this side could not.
    Untried(Untried),
}

impl ConnectFailure {
    /// At `step`, unless this process is to blame for the error.
    pub(super) fn at(step: Self, error: &io::Error) -> Self {
        match is_shortage(error) {
            true => Self::Untried(Untried::Shortage),
            false => step,
        }
    }
}

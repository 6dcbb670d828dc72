//! Which addresses are of this machine alone.

use url::{Host, Url};

/// Whether a URL leads to this machine, by a name that leads nowhere else (RFC 6761) or by its address.
pub(crate) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

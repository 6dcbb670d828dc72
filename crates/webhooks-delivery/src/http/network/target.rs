//! Where a connection goes.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::name_rules;

/// Where a connection goes: the part of a judged URL that connections can be shared by.
///
/// It has no endpoint in it: endpoints of the same origin share connections, whosever they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Target {
    /// Of a URL that was judged; `None` without host or port, which judged URLs have.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
            tls: url.scheme() == "https",
        })
    }

    /// What the certificate must be for: the name without the dot at its end, or the address.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Domain(name) => ServerName::try_from(name_rules::relative(name).to_owned()).ok(),
            Host::Ipv4(ip) => Some(ServerName::from(IpAddr::from(*ip))),
            Host::Ipv6(ip) => Some(ServerName::from(IpAddr::from(*ip))),
        }
    }
}

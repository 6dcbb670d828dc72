//! Connections through an egress proxy.
//!
//! The line between the proxy's failures and the endpoint's is drawn at the question: until the
//! proxy was asked for a destination, nothing that goes wrong says anything of that.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Host;

use super::shortage::is_shortage;
use super::tunnel::{Destination, Login, Refused};
use super::{ConnectFailure, Resolve, Untried, Wire, dial::dial, http_tunnel, name_rules, socks};

/// An egress proxy. It is the operator's own, so that its address is not judged; what it is asked
/// to connect to was.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(super) protocol: Protocol,
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// It is asked for names.
    pub(super) resolves_names: bool,
    /// Wiped when it is dropped, and in no `Debug` text.
    pub(super) login: Option<Login>,
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    Socks5,
}

impl Proxy {
    /// Whether it is asked for names.
    pub(crate) const fn resolves_names(&self) -> bool {
        self.resolves_names
    }

    /// A connection through the proxy to the first of `destinations` that it reaches. What goes
    /// wrong before it is asked for one, until `reached_by`, is no failure of theirs.
    ///
    /// Destinations are tried one after the other, each over a new connection to the proxy: a proxy
    /// that has refused one need not take another question. `opened_by` bounds all of them.
    pub(crate) async fn tunnel(
        &self,
        resolver: &dyn Resolve,
        tls: &TlsConnector,
        destinations: &[Destination],
        reached_by: Instant,
        opened_by: Instant,
    ) -> Result<Wire, ConnectFailure> {
        for (nth, destination) in destinations.iter().enumerate() {
            // Only the first has to show that the proxy is there.
            let by = if nth == 0 { reached_by } else { opened_by };
            let reached = timeout_at(by, self.reach(resolver, tls)).await;
            let reached = reached.unwrap_or(Err(Untried::Proxy("cannot be reached in time")));
            let mut wire = match reached {
                Ok(wire) => wire,
                Err(untried) if nth == 0 => return Err(ConnectFailure::Untried(untried)),
                // It was there for the ones before, which it did not reach.
                Err(_) => break,
            };
            let asked = timeout_at(opened_by, self.ask(&mut wire, destination));
            match asked.await {
                Ok(Ok(())) => return Ok(wire),
                Ok(Err(Refused::Proxy(why))) => {
                    // A login that is refused for one address is refused for all.
                    return Err(ConnectFailure::Untried(Untried::Proxy(why)));
                }
                Ok(Err(Refused::Destination)) => {}
                // It works at it: whom it is to reach does not answer.
                Err(_) => break,
            }
        }
        Err(ConnectFailure::Tcp)
    }

    /// A connection to the proxy that can be asked for a destination.
    async fn reach(&self, resolver: &dyn Resolve, tls: &TlsConnector) -> Result<Wire, Untried> {
        let unreachable = |error: io::Error| match is_shortage(&error) {
            true => Untried::Shortage,
            false => Untried::Proxy("cannot be reached"),
        };
        let addresses = self.addresses(resolver).await.map_err(unreachable)?;
        let stream = dial(&addresses).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        match self.protocol {
            Protocol::Http => Ok(Wire::Tcp(stream)),
            Protocol::Https => {
                // By the same trust as endpoints: a proxy with a certificate of a private authority
                // needs its root in `TlsOptions`.
                let no_tls = Untried::Proxy("cannot be spoken to under TLS");
                let name = self.server_name().ok_or(no_tls)?;
                let stream = tls.connect(name, stream).await.map_err(|_| no_tls)?;
                Ok(Wire::Tls(Box::new(stream)))
            }
            Protocol::Socks5 => {
                let mut wire = Wire::Tcp(stream);
                let greeted = socks::greet(&mut wire, self.login.as_ref()).await;
                greeted.map_err(Untried::Proxy)?;
                Ok(wire)
            }
        }
    }

    async fn ask(&self, wire: &mut Wire, destination: &Destination) -> Result<(), Refused> {
        match self.protocol {
            Protocol::Http | Protocol::Https => {
                http_tunnel::open(wire, destination, self.login.as_ref()).await
            }
            Protocol::Socks5 => socks::connect(wire, destination).await,
        }
    }

    async fn addresses(&self, resolver: &dyn Resolve) -> io::Result<Vec<SocketAddr>> {
        let answer = match &self.host {
            Host::Ipv4(ip) => vec![(*ip).into()],
            Host::Ipv6(ip) => vec![(*ip).into()],
            Host::Domain(name) => resolver.resolve(name).await?,
        };
        let with_port = |ip| SocketAddr::new(ip, self.port);
        Ok(answer.into_iter().map(with_port).collect())
    }

    fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Domain(name) => ServerName::try_from(name_rules::relative(name).to_owned()).ok(),
            Host::Ipv4(ip) => Some(ServerName::from(std::net::IpAddr::from(*ip))),
            Host::Ipv6(ip) => Some(ServerName::from(std::net::IpAddr::from(*ip))),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("protocol", &self.protocol)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("resolves_names", &self.resolves_names)
            .field("login", &self.login.is_some())
            .finish()
    }
}

//! Opens connections, to judged addresses only.
//!
//! Promises: what is dialled was judged in the same call, by its number and not by its name, so
//! that no second answer of a name server can come in between; and how a connection failed says
//! whose failure it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{
    ConnectFailure, Destination, Link, NetworkPolicy, Proxy, Refusal, Resolve, Target, Wire,
    dial::dial, name_rules,
};

/// How long a TCP connection may take to open, within the deadline of its attempt.
/// Long enough for a few lost SYN packets (1, 3 and 7 s); an address that takes longer would use up
/// the deadline of the attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections.
pub(crate) struct Connector {
    policy: NetworkPolicy,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    proxy: Option<Proxy>,
}

impl Connector {
    pub(crate) fn new(
        policy: NetworkPolicy,
        resolver: Arc<dyn Resolve>,
        tls: Arc<ClientConfig>,
        proxy: Option<Proxy>,
    ) -> Self {
        Self {
            policy,
            resolver,
            tls: tls.into(),
            proxy,
        }
    }

    pub(crate) const fn policy(&self) -> &NetworkPolicy {
        &self.policy
    }

    /// Opens a connection for a customer, judging afresh what it goes to. `within` is the time that
    /// its whole attempt has.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        customer: &str,
        within: Duration,
    ) -> Result<Link, ConnectFailure> {
        let destinations = self.judged(target, customer).await?;
        let wire = match &self.proxy {
            None => Wire::Tcp(dial_all(&destinations).await?),
            Some(proxy) => self.tunnel(proxy, &destinations, within).await?,
        };
        if target.tls {
            self.handshake(target, wire).await
        } else {
            Ok(Link::plain(wire))
        }
    }

    async fn tunnel(
        &self,
        proxy: &Proxy,
        destinations: &[Destination],
        within: Duration,
    ) -> Result<Wire, ConnectFailure> {
        let now = Instant::now();
        // A proxy that hangs must show as such before the attempt ends, which would be the endpoint's.
        let reached_by = now + CONNECT_TIMEOUT.min(within / 2);
        let opened_by = now + CONNECT_TIMEOUT;
        let resolver = &*self.resolver;
        proxy
            .tunnel(resolver, &self.tls, destinations, reached_by, opened_by)
            .await
    }

    /// Where to connect to, all of it judged just now; a name that the proxy resolves was judged
    /// with its URL.
    async fn judged(
        &self,
        target: &Target,
        customer: &str,
    ) -> Result<Vec<Destination>, ConnectFailure> {
        let at = |ip| Destination::Address(SocketAddr::new(ip, target.port));
        let literal = |ip: IpAddr| {
            self.policy
                .check_literal(ip)
                .map(|()| vec![at(ip)])
                .map_err(|_: Refusal| ConnectFailure::Literal)
        };
        let name = match &target.host {
            Host::Ipv4(ip) => return literal((*ip).into()),
            Host::Ipv6(ip) => return literal((*ip).into()),
            Host::Domain(name) => name,
        };
        // The operator has chosen that the proxy refuses private addresses: nothing here can.
        if self.proxy.as_ref().is_some_and(Proxy::resolves_names) {
            let name = name_rules::relative(name).to_owned();
            return Ok(vec![Destination::Name(name, target.port)]);
        }
        let answer = self.resolver.resolve_for(name, customer).await;
        let answer = answer.map_err(|error| ConnectFailure::at(ConnectFailure::Dns, &error))?;
        if answer.is_empty() {
            return Err(ConnectFailure::Dns);
        }
        let open: Vec<_> = answer
            .into_iter()
            // A name with public and private addresses is dialled at the public ones: one that is
            // refused is no reason to lose the delivery.
            .filter(|ip| self.policy.allows_address(*ip))
            .map(at)
            .collect();
        if open.is_empty() {
            return Err(ConnectFailure::Addresses);
        }
        Ok(open)
    }

    /// TLS to the endpoint itself, inside the tunnel if there is one: a proxy sees no request.
    async fn handshake(&self, target: &Target, wire: Wire) -> Result<Link, ConnectFailure> {
        let name = target.server_name().ok_or(ConnectFailure::Tls)?;
        let stream = self.tls.connect(name, wire).await;
        let stream = stream.map_err(|error| ConnectFailure::at(ConnectFailure::Tls, &error))?;
        Ok(Link::tls(stream))
    }
}

/// A connection to the first of these addresses that answers.
async fn dial_all(destinations: &[Destination]) -> Result<TcpStream, ConnectFailure> {
    let addresses: Vec<_> = destinations
        .iter()
        .filter_map(Destination::address)
        .collect();
    let failed = |error: io::Error| ConnectFailure::at(ConnectFailure::Tcp, &error);
    let stream = timeout(CONNECT_TIMEOUT, dial(&addresses)).await;
    // Out of time, it is the addresses that did not answer.
    let stream = stream.map_err(|_| ConnectFailure::Tcp)?.map_err(failed)?;
    // A request is one write or two: waiting to fill a segment only delays it.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

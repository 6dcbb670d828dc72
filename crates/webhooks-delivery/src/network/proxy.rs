//! An egress proxy that tunnels connections with `CONNECT` (RFC 9110 section 9.3.6).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};
use webhooks_core::{Result, WebhookError};

use super::{Resolve, dial::dial};

/// The longest head of the proxy's answer, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// An egress proxy. It is the operator's own, so that its address is not judged; what it is asked
/// to connect to was.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    host: Host<String>,
    port: u16,
}

impl Proxy {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let invalid = || {
            WebhookError::InvalidConfig(
                "the proxy is not of the form http://host:port, without user and path".into(),
            )
        };
        let url = Url::parse(url).map_err(|_| invalid())?;
        let plain = url.scheme() == "http"
            && url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) if plain => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(invalid()),
        }
    }

    /// A connection through the proxy to the first of `targets` that it reaches.
    pub(crate) async fn tunnel(
        &self,
        resolver: &dyn Resolve,
        targets: &[SocketAddr],
    ) -> io::Result<TcpStream> {
        let addresses = self.addresses(resolver).await?;
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for target in targets {
            let mut stream = dial(&addresses).await?;
            match connect(&mut stream, *target).await {
                Ok(()) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
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
}

async fn connect(stream: &mut TcpStream, target: SocketAddr) -> io::Result<()> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        // One byte at a time: what follows the head belongs to the tunnel.
        head.push(stream.read_u8().await?);
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    match head.strip_prefix(b"HTTP/1.") {
        Some([_, b' ', b'2', _, _, b' ' | b'\r', ..]) => Ok(()),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

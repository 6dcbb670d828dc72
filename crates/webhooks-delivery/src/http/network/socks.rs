//! Tunnels of a SOCKS5 proxy (RFC 1928), with user name and password (RFC 1929).
//!
//! Only the command `CONNECT` is used, and only two ways to log in: none, and RFC 1929. GSSAPI,
//! which the RFC also asks of servers, is offered by few of them.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Wire;
use super::tunnel::{Destination, Login, Refused};

// RFC 1928: version (section 3), methods (section 3), command (section 4), address types (section
// 5).
const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

const BROKE_OFF: &str = "broke off without an answer";
const NO_SOCKS: &str = "does not speak SOCKS5";
const LOGIN_REFUSED: &str = "wants other credentials";

/// Says who we are. The error is what is wrong with the proxy.
pub(super) async fn greet(wire: &mut Wire, login: Option<&Login>) -> Result<(), &'static str> {
    let hello: &[u8] = match login {
        None => &[VERSION, 1, NO_LOGIN],
        Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
    };
    send(wire, hello).await?;
    match (receive(wire).await?, login) {
        ([VERSION, NO_LOGIN], _) => Ok(()),
        ([VERSION, PASSWORD], Some(login)) => log_in(wire, login).await,
        ([VERSION, _], _) => Err(LOGIN_REFUSED),
        _ => Err(NO_SOCKS),
    }
}

async fn log_in(wire: &mut Wire, login: &Login) -> Result<(), &'static str> {
    let (user, password) = (&login.user, &login.password);
    let mut message = Zeroizing::new(Vec::with_capacity(3 + user.len() + password.len()));
    // The version of the login, not of SOCKS (RFC 1929 section 2).
    message.push(1);
    for text in [user, password] {
        message.push(length(text)?);
        message.extend_from_slice(text);
    }
    send(wire, &message).await?;
    match receive(wire).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(LOGIN_REFUSED),
    }
}

/// Asks for a tunnel; what follows on `wire` belongs to it.
pub(super) async fn connect(wire: &mut Wire, destination: &Destination) -> Result<(), Refused> {
    let request = request(destination).map_err(Refused::Proxy)?;
    send(wire, &request).await.map_err(Refused::Proxy)?;
    // Version, reply, reserved, and the type of the address that follows.
    let [version, reply, _, kind] = receive(wire).await.map_err(Refused::Proxy)?;
    match (version, reply) {
        (VERSION, 0) => skip_bound_address(wire, kind).await.map_err(Refused::Proxy),
        (VERSION, 7) => Err(Refused::Proxy("does not tunnel")),
        // By its rules, or because it did not reach whom it was asked for.
        (VERSION, _) => Err(Refused::Destination),
        _ => Err(Refused::Proxy(NO_SOCKS)),
    }
}

fn request(destination: &Destination) -> Result<Vec<u8>, &'static str> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match destination {
        Destination::Address(address) => {
            push_ip(&mut request, *address);
            address.port()
        }
        Destination::Name(name, port) => {
            request.extend([NAME, length(name.as_bytes())?]);
            request.extend(name.as_bytes());
            *port
        }
    };
    request.extend(port.to_be_bytes());
    Ok(request)
}

fn push_ip(request: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            request.push(IPV4);
            request.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            request.push(IPV6);
            request.extend(ip.octets());
        }
    }
}

async fn skip_bound_address(wire: &mut Wire, kind: u8) -> Result<(), &'static str> {
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = receive(wire).await?;
            usize::from(length)
        }
        _ => return Err(NO_SOCKS),
    };
    // The address and its port. They must be read, since the tunnel begins behind them.
    let mut skipped = [0; 255 + 2];
    let skipped = skipped.get_mut(..length + 2).ok_or(NO_SOCKS)?;
    let read = wire.read_exact(skipped).await;
    read.map(drop).map_err(|_| BROKE_OFF)
}

fn length(text: &[u8]) -> Result<u8, &'static str> {
    u8::try_from(text.len()).map_err(|_| "takes no such long text")
}

async fn send(wire: &mut Wire, bytes: &[u8]) -> Result<(), &'static str> {
    wire.write_all(bytes).await.map_err(|_| BROKE_OFF)
}

/// Exactly so many bytes: what follows them may belong to the tunnel.
async fn receive<const LENGTH: usize>(wire: &mut Wire) -> Result<[u8; LENGTH], &'static str> {
    let mut bytes = [0; LENGTH];
    let read = wire.read_exact(&mut bytes).await;
    read.map_err(|_| BROKE_OFF)?;
    Ok(bytes)
}

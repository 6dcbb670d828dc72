//! Opening a TCP connection to the first of several addresses that answers.
//!
//! A host with a dead IPv6 route must not cost each connection its whole timeout, so that addresses
//! are tried side by side ("happy eyeballs", RFC 8305). Losers are dropped, which closes them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::shortage::{Shortage, is_shortage, lacks_ports};

/// How long one address is waited for before the next is tried besides it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of one name that are tried.
/// A name can have thousands: without a bound one attempt would take as many descriptors.
const MAX_ADDRESSES: usize = 8;

/// Connects to one of `addresses`: in their order, each with a head start on the next.
pub(crate) async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().take(MAX_ADDRESSES);
    let mut dialling = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => dialling.push(connect(*address)),
            // All were tried, and none is left to wait for.
            None if dialling.is_empty() => return Err(failure),
            None => {}
        }
        let answer = if waiting.len() == 0 {
            dialling.next().await
        } else {
            match timeout(HEAD_START, dialling.next()).await {
                Ok(answer) => answer,
                // The head start is over; those before go on beside the next.
                Err(_) => continue,
            }
        };
        match answer {
            Some(Ok(stream)) => return Ok(stream),
            // An address that could not be tried outweighs those that were.
            Some(Err(error)) if !is_shortage(&failure) => failure = error,
            Some(Err(_)) => {}
            None => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    stream.map_err(|error| match lacks_ports(&error, address) {
        true => Shortage.into(),
        false => error,
    })
}

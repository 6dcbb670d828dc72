//! Tunnels of an HTTP proxy: `CONNECT` (RFC 9110 section 9.3.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Wire;
use super::tunnel::{Destination, Login, Refused};

/// The longest head of the proxy's response, in bytes.
const MAX_HEAD: usize = 8 * 1024;

const BROKE_OFF: Refused = Refused::Proxy("broke off without a response");

/// Asks for a tunnel; what follows on `wire` belongs to it.
pub(super) async fn open(
    wire: &mut Wire,
    destination: &Destination,
    login: Option<&Login>,
) -> Result<(), Refused> {
    let request = request(destination, login);
    let written = wire.write_all(request.as_bytes()).await;
    written.map_err(|_| BROKE_OFF)?;
    wire.flush().await.map_err(|_| BROKE_OFF)?;
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        // One byte at a time: what follows the head belongs to the tunnel.
        head.push(wire.read_u8().await.map_err(|_| BROKE_OFF)?);
        if head.len() > MAX_HEAD {
            return Err(Refused::Proxy("responds with too long a head"));
        }
    }
    match head.strip_prefix(b"HTTP/1.") {
        Some([_, b' ', a, b, c, b' ' | b'\r', ..])
            if [a, b, c].iter().all(|d| d.is_ascii_digit()) =>
        {
            by_status([*a, *b, *c])
        }
        _ => Err(Refused::Proxy("does not speak HTTP/1.1")),
    }
}

fn by_status(status: [u8; 3]) -> Result<(), Refused> {
    Err(match &status {
        [b'2', _, _] => return Ok(()),
        b"400" => Refused::Proxy("does not understand CONNECT (400)"),
        b"405" | b"501" => Refused::Proxy("does not tunnel (405, 501)"),
        // Tinyproxy says 401 where a password is wrong.
        b"401" | b"407" => Refused::Proxy("wants other credentials (401, 407)"),
        b"429" => Refused::Proxy("is asked too often (429)"),
        // By its rules, or because it did not reach whom it was asked for.
        _ => Refused::Destination,
    })
}

fn request(destination: &Destination, login: Option<&Login>) -> Zeroizing<String> {
    let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
    if let Some(Login { user, password }) = login {
        let pair = Zeroizing::new([user.as_slice(), b":", password.as_slice()].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*pair));
        // Room for all of it, so that no part is left behind where it grew.
        let mut with_login = String::with_capacity(request.len() + encoded.len() + 64);
        with_login.push_str(&request);
        with_login.push_str("Proxy-Authorization: Basic ");
        with_login.push_str(&encoded);
        with_login.push_str("\r\n");
        request = with_login;
    }
    request.push_str("\r\n");
    Zeroizing::new(request)
}

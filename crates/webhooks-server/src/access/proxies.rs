//! Where a request comes from, behind proxies that the host names.
//!
//! The answer decides whose bucket a bad key is counted in, and whether a key that is bound to networks
//! is taken. A client must therefore not be able to choose it.
//!
//! Each proxy appends the address that it saw to `Forwarded` or `X-Forwarded-For`. So the chain is read
//! from its end: as long as the nearest address is one of our own proxies, what that proxy wrote is
//! believed, and no further. The first address that is not ours is the client. Everything before it was
//! written by the client or by strangers.
//!
//! If `Forwarded` is there, `X-Forwarded-For` is not looked at: a proxy that writes one of them passes
//! the other on as the client sent it. An element that is no address (`_hidden`, `unknown`) ends the
//! walk at the proxy before it. Addresses of IPv4 that are mapped into IPv6 are compared as IPv4.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::HeaderMap;
use http::header::FORWARDED;
use http::request::Parts;
use ipnet::IpNet;

/// What proxies of before RFC 7239 tell.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies that are believed what they say of whom they forward.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(pub(crate) Vec<IpNet>);

impl Proxies {
    /// The address of the client, if whoever serves tells where the connection comes from: the last
    /// one before our own proxies. Others may write there what they like.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let mut client = peer.map(|ConnectInfo(address)| address.ip().to_canonical())?;
        if !self.are_at(client) {
            return Some(client);
        }
        let chain = forwarded(&parts.headers);
        for address in chain.iter().rev() {
            // Behind a name that is no address there is nobody whom one could tell.
            let Some(address) = address else {
                break;
            };
            client = *address;
            if !self.are_at(client) {
                break;
            }
        }
        Some(client)
    }

    /// Whether one of them has this address.
    fn are_at(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whom the proxies name, the nearest last: by `Forwarded` (RFC 7239), or else by `X-Forwarded-For`.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = |name: &str| {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    if headers.contains_key(FORWARDED) {
        let hops = lines(FORWARDED.as_str()).flat_map(|line| line.split(','));
        return hops.map(for_of).collect();
    }
    let hops = lines(X_FORWARDED_FOR).flat_map(|line| line.split(','));
    hops.map(address).collect()
}

/// The address in one element of `Forwarded`.
fn for_of(hop: &str) -> Option<IpAddr> {
    let mut pairs = hop
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(value.trim_matches('"'))
}

/// An address, perhaps with a port and in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = alone.parse::<IpAddr>().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let (parts, ()) = request.into_parts();
        proxies.client(&parts).unwrap().to_string()
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let told = [("forwarded", "for=9.9.9.9")];
        assert_eq!(client("1.2.3.4:5", &told), "1.2.3.4");
        assert_eq!(client("10.0.0.1:5", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:5", &told), "9.9.9.9");
        // What stands before the last foreign address was written by anybody.
        let lines = [
            (
                "forwarded",
                "for=8.8.8.8, for=\"[2001:db8::1]:80\";proto=https",
            ),
            ("forwarded", "proto=http;For=10.0.0.2"),
        ];
        assert_eq!(client("10.0.0.1:5", &lines), "2001:db8::1");
        let old = [("x-forwarded-for", "8.8.8.8, 7.7.7.7:99, 10.9.9.9")];
        assert_eq!(client("10.0.0.1:5", &old), "7.7.7.7");
        let hidden = [("forwarded", "for=7.7.7.7, for=_hidden")];
        assert_eq!(client("[::ffff:10.0.0.1]:5", &hidden), "10.0.0.1");
    }
}

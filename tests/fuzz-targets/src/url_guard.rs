//! URLs and addresses that customers give.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use webhooks_core::{Transport, WebhookEndpoint};
use webhooks_delivery::{DeliveryEngine, NetworkPolicy};

use crate::stopped::Stopped;

const RANGES: &str = include_str!("../../vectors/blocked_ranges.json");

/// Names that are not public, with all below them.
const RESERVED: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "test",
    "invalid",
    "onion",
    "home.arpa",
    "svc",
];
/// The bad ports of WHATWG Fetch, and the internal services.
const PORTS: &str = "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 \
    104 109 110 111 113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 \
    530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 \
    5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080 \
    1433 1521 2375 2376 2379 2380 3306 3389 5432 5672 6379 6443 9042 9092 9200 9300 10250 11211 \
    27017";

/// The bytes are a URL, and the first of them an address. What is open keeps the rules for raw
/// text, and the verdict over plain URLs is that of a parser that knows only those.
pub fn url_guard(data: &[u8]) {
    if let Some(bytes) = data.first_chunk() {
        v4_address(Ipv4Addr::from(*bytes));
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        v6_address(Ipv6Addr::from(*bytes));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let open = NetworkPolicy::default().check_url(text).is_ok();
    if let Some(expected) = plain_verdict(text) {
        assert_eq!(open, expected, "{text:?}");
    }
    if open {
        keeps_the_rules_for_text(text);
        assert!(
            NetworkPolicy::permissive().check_url(text).is_ok(),
            "{text:?}"
        );
    }
    let endpoint = WebhookEndpoint {
        url: text.into(),
        secret: "secret".into(),
        ..WebhookEndpoint::default()
    };
    // What the guard lets through is what a request can be built from.
    assert_eq!(engine().check(&endpoint).is_ok(), open, "{text:?}");
}

fn keeps_the_rules_for_text(text: &str) {
    assert!(text.len() <= 2_048);
    assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\' || c == '#'));
    assert!(text[..8].eq_ignore_ascii_case("https://"), "{text:?}");
    let authority = text[8..].split(['/', '?']).next().unwrap();
    assert!(
        !authority.is_empty() && !authority.contains('@'),
        "{text:?}"
    );
}

/// The verdict over a URL of plain characters, `None` over any other.
fn plain_verdict(text: &str) -> Option<bool> {
    let rest = text.strip_prefix("https://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]".contains(c);
    if !rest.chars().all(plain) {
        return None;
    }
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, port) = inner.split_once(']')?;
            (host.parse().map(Host::V6).unwrap_or(Host::None), port)
        }
        None => {
            let host = authority.split(':').next()?;
            if host.contains(['~', '[', ']']) || host.to_lowercase().contains("xn--") {
                return None;
            }
            (host_of(host), &authority[host.len()..])
        }
    };
    let fits = text.len() <= 2_048 && !authority.is_empty();
    Some(fits && host.is_open() && port_is_open(port))
}

fn port_is_open(text: &str) -> bool {
    let port = match text.strip_prefix(':') {
        None if text.is_empty() => "443",
        None => return false,
        Some("") => "443",
        Some(digits) => digits,
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let port = port.trim_start_matches('0');
    let port = if port.is_empty() { "0" } else { port };
    port.parse::<u16>().is_ok() && !PORTS.split_whitespace().any(|refused| refused == port)
}

enum Host<'a> {
    None,
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Name(&'a str),
}

impl Host<'_> {
    fn is_open(&self) -> bool {
        match self {
            Host::None => false,
            Host::V4(ip) => v4_is_open(*ip),
            Host::V6(ip) => v6_is_open(*ip),
            Host::Name(name) => name_is_open(name),
        }
    }
}

fn name_is_open(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    let labels: Vec<_> = name.split('.').collect();
    let reserved = |tail: &str| {
        let tail: Vec<_> = tail.split('.').collect();
        labels.ends_with(&tail)
    };
    labels.len() > 1
        && name.len() <= 253
        && labels.iter().all(|label| (1..=63).contains(&label.len()))
        && !RESERVED.into_iter().any(reserved)
}

/// A host is a number if its last label is one: <https://url.spec.whatwg.org/#host-parsing>.
fn host_of(host: &str) -> Host<'_> {
    let mut parts: Vec<_> = host.split('.').collect();
    if parts.len() > 1 && parts.last() == Some(&"") {
        parts.pop();
    }
    let last = parts[parts.len() - 1];
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if !digits && number(last).is_none() {
        return Host::Name(host);
    }
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| number(part)).collect();
    let Some([front @ .., last]) = numbers.as_deref() else {
        return Host::None;
    };
    let room = front.len() < 4 && *last < 1 << (8 * (4 - front.len()));
    if !room || front.iter().any(|number| *number > 255) {
        return Host::None;
    }
    let shifted = |(n, number): (usize, &u64)| number << (8 * (3 - n));
    let bits = front.iter().enumerate().map(shifted).sum::<u64>() + last;
    Host::V4(Ipv4Addr::from(u32::try_from(bits).unwrap()))
}

/// A number in base 16 after `0x`, in base 8 after `0`, or in base 10; no more than fits a `u64`
/// matters.
fn number(text: &str) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if text.is_empty() => return None,
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    digits.chars().try_fold(0_u64, |value, digit| {
        let digit = u64::from(digit.to_digit(base)?);
        Some(value.saturating_mul(u64::from(base)).saturating_add(digit))
    })
}

fn v4_address(ip: Ipv4Addr) {
    let strict = NetworkPolicy::default();
    let permissive = NetworkPolicy::permissive();
    assert_eq!(strict.allows_address(ip.into()), v4_is_open(ip), "{ip}");
    let metadata = is_in("never_allow_listed", ip.into());
    assert_eq!(permissive.allows_address(ip.into()), !metadata, "{ip}");
    let nat64 = NetworkPolicy::default().allow_nat64();
    let behind_nat64 = Ipv6Addr::from(0x64_ff9b_u128 << 96 | u128::from(ip.to_bits()));
    assert_eq!(
        nat64.allows_address(behind_nat64.into()),
        v4_is_open(ip),
        "{ip}"
    );
    let bits = u128::from(ip.to_bits());
    let carriers = [
        bits,
        0xffff << 32 | bits,
        0xffff << 48 | bits,
        0x64_ff9b << 96 | bits,
        0x2002 << 112 | bits << 80,
        0x2001 << 112 | u128::from(!ip.to_bits()),
        0x2606_4700 << 96 | 0x5efe << 32 | bits,
        0xfe80 << 112 | 0x200_5efe << 32 | bits,
    ];
    for carrier in carriers.map(Ipv6Addr::from) {
        let open = strict.allows_address(carrier.into());
        assert!(!open || v4_is_open(ip), "{carrier} carries {ip}");
        let open = permissive.allows_address(carrier.into());
        assert!(!open || !metadata, "{carrier} carries {ip}");
    }
}

fn v6_address(ip: Ipv6Addr) {
    let strict = NetworkPolicy::default();
    assert_eq!(strict.allows_address(ip.into()), v6_is_open(ip), "{ip}");
    let metadata = is_in("never_allow_listed", ip.into());
    let permissive = NetworkPolicy::permissive();
    assert!(!metadata || !permissive.allows_address(ip.into()), "{ip}");
}

fn v4_is_open(ip: Ipv4Addr) -> bool {
    !is_in("ipv4_deny", ip.into())
}

fn v6_is_open(ip: Ipv6Addr) -> bool {
    let isatap = matches!(ip.to_bits() >> 32 & 0xffff_ffff, 0x5efe | 0x200_5efe);
    let carried = Ipv4Addr::from(u32::try_from(ip.to_bits() & 0xffff_ffff).unwrap());
    is_in("ipv6_allow_only", ip.into())
        && !is_in("ipv6_deny_inside", ip.into())
        && (!isatap || v4_is_open(carried))
}

/// Whether the address is in one of the ranges of the shared vectors.
fn is_in(list: &str, ip: IpAddr) -> bool {
    static PARSED: OnceLock<Value> = OnceLock::new();
    let ranges = &PARSED.get_or_init(|| serde_json::from_str(RANGES).unwrap())[list];
    let ranges: Vec<_> = match ranges {
        Value::Array(ranges) => ranges.iter().filter_map(Value::as_str).collect(),
        range => range.as_str().into_iter().collect(),
    };
    assert!(!ranges.is_empty());
    ranges.iter().any(|range| {
        let (network, prefix) = range.split_once('/').unwrap();
        let (network, prefix): (IpAddr, u32) = (network.parse().unwrap(), prefix.parse().unwrap());
        match (network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
            }
            _ => false,
        }
    })
}

fn engine() -> &'static DeliveryEngine {
    static ENGINE: OnceLock<DeliveryEngine> = OnceLock::new();
    ENGINE.get_or_init(|| DeliveryEngine::new(Arc::new(Stopped)).unwrap())
}

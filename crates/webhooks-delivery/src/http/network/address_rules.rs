//! Which addresses may be dialled.
//!
//! IPv4 is open but for listed ranges (IANA special-purpose registry, RFC 6890); IPv6 is refused
//! but for global unicast, `2000::/3`, and there too for listed prefixes.
//!
//! IPv6 forms that carry an IPv4 address are a way around a list of IPv4 ranges: a gateway or
//! tunnel near the sender would unpack them. Those that matter are outside the open range, listed,
//! or judged by what they carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(high: [u16; 3], low: u16, prefix: u8) -> Ipv6Net {
    let [a, b, c] = high;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, low), prefix)
}

/// "This" network, private use, shared (RFC 6598), loopback, link-local, protocol assignments,
/// documentation, the 6to4 relay, benchmarking (RFC 2544), multicast, reserved with broadcast; last
/// the address of Azure's host services, which is public by its number only.
const REFUSED_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v4(168, 63, 129, 16, 32),
];

/// What IANA gives out as global unicast. Unique local, link-local, multicast and mapped addresses
/// are all outside.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 0, 3);
/// Protocol assignments with Teredo, documentation, 6to4, the former 6bone, documentation again.
const REFUSED_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0], 0, 23),
    v6([0x2001, 0xdb8, 0], 0, 32),
    v6([0x2002, 0, 0], 0, 16),
    v6([0x3ffe, 0, 0], 0, 16),
    v6([0x3fff, 0, 0], 0, 20),
];
/// The well-known prefix of NAT64 (RFC 6052).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 0, 96);
/// The prefix for local use of NAT64 (RFC 8215).
const LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1], 0, 48);
/// 6to4 (RFC 3056): the IPv4 address follows the prefix.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 0, 16);
/// Teredo (RFC 4380): the client's IPv4 address is at the end, inverted.
const TEREDO: Ipv6Net = v6([0x2001, 0, 0], 0, 32);

/// Where clouds hand out credentials: no policy opens these.
const METADATA_V4: [Ipv4Net; 4] = [
    v4(169, 254, 0, 0, 16),
    v4(168, 63, 129, 16, 32),
    v4(100, 100, 100, 200, 32),
    v4(192, 0, 0, 192, 32),
];
/// AWS's instance metadata over IPv6, and Google Cloud's.
const METADATA_V6: [Ipv6Net; 2] = [
    v6([0xfd00, 0xec2, 0], 0x254, 128),
    v6([0xfd20, 0xce, 0], 0x254, 128),
];

/// Whether the address is, or carries, one that no policy opens.
///
/// Also inside IPv6 forms that no policy opens by default: a policy may open `::/0`.
pub(crate) fn is_metadata(ip: IpAddr) -> bool {
    let refused = |ip: &Ipv4Addr| METADATA_V4.iter().any(|net| net.contains(ip));
    match ip {
        IpAddr::V4(ip) => refused(&ip),
        IpAddr::V6(ip) => {
            METADATA_V6.iter().any(|net| net.contains(&ip))
                || carried(ip).iter().flatten().any(refused)
        }
    }
}

/// Whether the address is refused unless a policy opens it.
pub(crate) fn is_refused(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => REFUSED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => !GLOBAL_V6.contains(&ip) || REFUSED_V6.iter().any(|n| n.contains(&ip)),
    }
}

/// The IPv4 address behind the well-known prefix of NAT64.
pub(crate) fn nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    NAT64.contains(&ip).then(|| low(ip))
}

/// The IPv4 address that an ISATAP interface identifier carries (RFC 5214 section 6.1).
pub(crate) fn isatap(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., tag, mark, _, _] = ip.segments();
    // The universal bit may be set or not.
    (matches!(tag, 0 | 0x200) && mark == 0x5efe).then(|| low(ip))
}

/// Every IPv4 address that a known form of IPv6 address carries.
fn carried(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 6] {
    let octets = ip.octets();
    let [_, _, a, b, c, d, ..] = octets;
    // RFC 6052 section 2.2: a /48 holds it around the octet that stays zero.
    let [.., e, f, _, g, h, _, _, _, _, _] = octets;
    let local = LOCAL_NAT64.contains(&ip);
    [
        // Compatible, mapped and translated addresses are all inside ::/64.
        (ip.to_bits() >> 64 == 0).then(|| low(ip)),
        isatap(ip),
        (local || NAT64.contains(&ip)).then(|| low(ip)),
        local.then(|| Ipv4Addr::new(e, f, g, h)),
        SIX_TO_FOUR.contains(&ip).then(|| Ipv4Addr::new(a, b, c, d)),
        // Teredo hides the client's address by inverting its bits (RFC 4380 section 4).
        TEREDO
            .contains(&ip)
            .then(|| Ipv4Addr::from_bits(!low(ip).to_bits())),
    ]
}

/// The last 32 bits.
fn low(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}

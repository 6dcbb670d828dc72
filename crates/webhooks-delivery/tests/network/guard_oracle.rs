//! The address rules against a plain oracle that shares none of their code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use webhooks_delivery::NetworkPolicy;

pub(crate) fn v4_is_public(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    !matches!(
        (a, b, c, d),
        (0 | 10 | 127, ..)
            | (100, 64..=127, ..)
            | (169, 254, ..)
            | (172, 16..=31, ..)
            | (192, 0, 0 | 2, _)
            | (192, 88, 99, _)
            | (192, 168, ..)
            | (198, 18 | 19, ..)
            | (198, 51, 100, _)
            | (203, 0, 113, _)
            | (168, 63, 129, 16)
            | (224.., ..)
    )
}

fn v4_is_metadata(ip: Ipv4Addr) -> bool {
    matches!(
        ip.octets(),
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192]
    )
}

fn v6_is_public(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let listed = match s[0] {
        0x2001 => s[1] < 0x200 || s[1] == 0xdb8,
        0x2002 | 0x3ffe => true,
        0x3fff => s[1] < 0x1000,
        first => !(0x2000..0x4000).contains(&first),
    };
    let isatap = s[5] == 0x5efe && (s[4] == 0 || s[4] == 0x200);
    !listed && (!isatap || v4_is_public(last(s)))
}

fn last(s: [u16; 8]) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(s[6]) << 16 | u32::from(s[7]))
}

/// Any address, with those near the edges of the lists made likely.
pub(crate) fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let edges = prop::sample::select(vec![
        [10, 0, 0, 0],
        [100, 64, 0, 0],
        [100, 100, 100, 200],
        [127, 0, 0, 1],
        [169, 254, 169, 254],
        [168, 63, 129, 16],
        [172, 16, 0, 0],
        [172, 32, 0, 0],
        [192, 0, 0, 192],
        [192, 0, 3, 0],
        [192, 88, 99, 0],
        [192, 168, 0, 0],
        [198, 18, 0, 0],
        [198, 20, 0, 0],
        [203, 0, 113, 0],
        [224, 0, 0, 0],
    ]);
    prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from),
        (edges, -3_i32..4).prop_map(|(octets, by)| {
            Ipv4Addr::from(u32::from_be_bytes(octets).wrapping_add_signed(by))
        }),
    ]
}

/// Any address, with the listed prefixes made likely.
fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let first = prop::sample::select(vec![
        0, 0x64, 0x100, 0x1fff, 0x2000, 0x2001, 0x2002, 0x2606, 0x3ffe, 0x3fff, 0x4000, 0xfc00,
        0xfe80, 0xff02,
    ]);
    let second = prop_oneof![
        any::<u16>(),
        prop::sample::select(vec![0, 0x1ff, 0x200, 0xdb8, 0xfff, 0x1000])
    ];
    prop_oneof![
        any::<u128>().prop_map(Ipv6Addr::from),
        (first, second, any::<[u16; 2]>(), isatap(), v4()).prop_map(
            |(a, b, [c, d], [e, f], v4)| {
                let [high, low] = [v4.to_bits() >> 16, v4.to_bits() & 0xffff];
                let half = |bits: u32| u16::try_from(bits).unwrap();
                Ipv6Addr::new(a, b, c, d, e, f, half(high), half(low))
            }
        ),
    ]
}

fn isatap() -> impl Strategy<Value = [u16; 2]> {
    prop_oneof![any::<[u16; 2]>(), Just([0, 0x5efe]), Just([0x200, 0x5efe])]
}

/// Every form of IPv6 address that carries an IPv4 address somewhere.
fn embeddings(ip: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = ip.octets();
    let hidden = Ipv4Addr::from(!ip.to_bits());
    [
        format!("::{ip}"),
        format!("::ffff:{ip}"),
        format!("::ffff:0:{ip}"),
        format!("64:ff9b::{ip}"),
        format!("64:ff9b:1::{ip}"),
        format!("64:ff9b:1:{a:02x}{b:02x}:{c:02x}:{d:02x}00::"),
        format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        format!("2001::{hidden}"),
        format!("2606:1::5efe:{ip}"),
        format!("fe80::200:5efe:{ip}"),
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn ipv4_is_judged_as_the_oracle_does(ip in v4()) {
        let strict = NetworkPolicy::default();
        prop_assert_eq!(strict.allows_address(ip.into()), v4_is_public(ip));
        let permissive = NetworkPolicy::permissive();
        prop_assert_eq!(permissive.allows_address(ip.into()), !v4_is_metadata(ip));
        let url = format!("https://{ip}/");
        prop_assert_eq!(strict.check_url(&url).is_ok(), v4_is_public(ip));
    }

    #[test]
    fn ipv6_is_judged_as_the_oracle_does(ip in v6()) {
        let strict = NetworkPolicy::default();
        prop_assert_eq!(strict.allows_address(ip.into()), v6_is_public(ip));
        let url = format!("https://[{ip}]/");
        prop_assert_eq!(strict.check_url(&url).is_ok(), v6_is_public(ip));
    }

    #[test]
    fn an_embedded_address_is_never_more_open_than_the_address_itself(ip in v4()) {
        let strict = NetworkPolicy::default();
        let nat64 = NetworkPolicy::default().allow_nat64();
        let permissive = NetworkPolicy::permissive();
        for carrier in embeddings(ip) {
            let address = IpAddr::from(carrier);
            prop_assert!(!strict.allows_address(address) || v4_is_public(ip), "{}", carrier);
            prop_assert!(!nat64.allows_address(address) || v4_is_public(ip), "{}", carrier);
            prop_assert!(!permissive.allows_address(address) || !v4_is_metadata(ip), "{}", carrier);
        }
        let well_known: Ipv6Addr = format!("64:ff9b::{ip}").parse().unwrap();
        prop_assert_eq!(nat64.allows_address(well_known.into()), v4_is_public(ip));
    }

    #[test]
    fn no_text_makes_the_guard_panic(text in "\\PC{0,40}", scheme in "(https?|ftp|)(://|:/|:|)") {
        for policy in [NetworkPolicy::default(), NetworkPolicy::permissive()] {
            drop(policy.check_url(&format!("{scheme}{text}")));
        }
    }
}

//! Any spelling of an IPv4 address is judged as the address.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use webhooks_delivery::NetworkPolicy;

use crate::guard_oracle::{v4, v4_is_public};

/// How one number of an address is written.
#[derive(Clone, Copy, Debug)]
enum Base {
    Octal,
    Decimal,
    Hexadecimal,
}

/// How one character of a host is written.
#[derive(Clone, Copy, Debug)]
enum Disguise {
    Plain,
    Percent,
    FullWidth,
    PercentOfFullWidth,
    Circled,
}

fn number(value: u64, base: Base, zeros: usize) -> String {
    let zeros = "0".repeat(zeros);
    match base {
        Base::Octal => format!("0{zeros}{value:o}"),
        Base::Decimal => value.to_string(),
        Base::Hexadecimal => format!("0X{zeros}{value:x}"),
    }
}

/// The address in one to four numbers, the last of which takes what is left.
fn numbers(ip: Ipv4Addr, parts: usize) -> Vec<u64> {
    let octets = ip.octets().map(u64::from);
    let (front, rest) = octets.split_at(parts - 1);
    let last = rest.iter().fold(0, |value, octet| value << 8 | octet);
    [front, &[last]].concat()
}

fn disguised(c: char, disguise: Disguise) -> String {
    let wide = match c {
        '.' => '。',
        c => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
    };
    let percent = |c: char| -> String {
        let bytes = c.to_string().into_bytes();
        bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
    };
    match (disguise, c) {
        (Disguise::Plain, c) => c.to_string(),
        (Disguise::Percent, c) => percent(c),
        (Disguise::FullWidth, _) => wide.to_string(),
        (Disguise::PercentOfFullWidth, _) => percent(wide),
        (Disguise::Circled, '1'..='9') => char::from_u32(u32::from(c) - u32::from('1') + 0x2460)
            .unwrap()
            .to_string(),
        (Disguise::Circled, '0') => '⓪'.to_string(),
        (Disguise::Circled, c) => c.to_string(),
    }
}

fn base() -> impl Strategy<Value = Base> {
    prop::sample::select(vec![Base::Octal, Base::Decimal, Base::Hexadecimal])
}

fn disguise() -> impl Strategy<Value = Disguise> {
    prop_oneof![
        4 => Just(Disguise::Plain),
        1 => Just(Disguise::Percent),
        1 => Just(Disguise::FullWidth),
        1 => Just(Disguise::PercentOfFullWidth),
        1 => Just(Disguise::Circled),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn every_spelling_of_an_address_has_the_verdict_of_the_address(
        ip in v4(),
        parts in 1_usize..=4,
        bases in prop::collection::vec((base(), 0_usize..4), 4),
        disguises in prop::collection::vec(disguise(), 64),
        trailing_dot in any::<bool>(),
    ) {
        let plain: Vec<_> = numbers(ip, parts)
            .into_iter()
            .zip(&bases)
            .map(|(value, (base, zeros))| number(value, *base, *zeros))
            .collect();
        let plain = plain.join(".") + if trailing_dot { "." } else { "" };
        let host: String = plain
            .chars()
            .zip(disguises.iter().cycle())
            .map(|(c, disguise)| disguised(c, *disguise))
            .collect();
        let verdict = NetworkPolicy::default().check_url(&format!("https://{host}/"));
        prop_assert_eq!(verdict.is_ok(), v4_is_public(ip), "{} is {}: {:?}", host, ip, verdict);
        let verdict = NetworkPolicy::permissive().check_url(&format!("https://{host}/"));
        let metadata = !NetworkPolicy::permissive().allows_address(ip.into());
        prop_assert_eq!(verdict.is_err(), metadata, "{} is {}: {:?}", host, ip, verdict);
    }
}

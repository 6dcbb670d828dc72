//! Every row of the shared vectors of the network guard.

use std::net::IpAddr;

use serde_json::Value;
use webhooks_delivery::NetworkPolicy;

const URLS: &str = include_str!("../../../../tests/vectors/ssrf_urls.json");
const RANGES: &str = include_str!("../../../../tests/vectors/blocked_ranges.json");

fn policy(name: &str) -> NetworkPolicy {
    match name.split_once(':') {
        Some(("allow", cidr)) => NetworkPolicy::default().allow_cidr(cidr).unwrap(),
        _ if name == "allow_nat64" => NetworkPolicy::default().allow_nat64(),
        _ => {
            assert_eq!(name, "default");
            NetworkPolicy::default()
        }
    }
}

fn addresses(value: &Value) -> Vec<IpAddr> {
    match value {
        Value::String(ip) => vec![ip.parse().unwrap()],
        Value::Array(list) => list.iter().flat_map(addresses).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_url_of_the_vectors_has_its_verdict_at_its_stage() {
    let vectors: Value = serde_json::from_str(URLS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let row = &case["id"];
        let policy = policy(case["policy"].as_str().unwrap());
        let url = policy.check_url(case["url"].as_str().unwrap());
        let resolved = match &case["resolved_at_connect"] {
            Value::Null => addresses(&case["resolved_ip"]),
            at_connect => addresses(at_connect),
        };
        let dialled: Vec<_> = resolved
            .iter()
            .copied()
            .filter(|ip| policy.allows_address(*ip))
            .collect();
        if let Some(expected) = case.get("connect_to") {
            assert_eq!(dialled, addresses(expected), "{row}");
        }
        let reached = url.is_ok() && (resolved.is_empty() || !dialled.is_empty());
        match (
            case["verdict"].as_str().unwrap(),
            case["stage"].as_str().unwrap(),
        ) {
            // That a redirect is not followed is for the tests of the engine.
            ("allow", _) | ("deny", "redirect") => assert!(reached, "{row} {url:?}"),
            ("deny", "resolve" | "connect") => assert!(url.is_ok() && !reached, "{row}"),
            ("deny", _) => assert!(url.is_err(), "{row}"),
            other => panic!("{row} {other:?}"),
        }
    }
}

fn ranges(key: &str) -> Vec<ipnet::IpNet> {
    let vectors: Value = serde_json::from_str(RANGES).unwrap();
    let list = vectors[key].as_array().unwrap().clone();
    list.iter()
        .map(|net| net.as_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn every_blocked_range_is_refused_from_its_first_to_its_last_address() {
    let policy = NetworkPolicy::default();
    for net in ranges("ipv4_deny")
        .into_iter()
        .chain(ranges("ipv6_deny_inside"))
    {
        assert!(!policy.allows_address(net.network()), "{net}");
        assert!(!policy.allows_address(net.broadcast()), "{net}");
        let opened = NetworkPolicy::default()
            .allow_cidr(&net.to_string())
            .unwrap();
        let metadata = ranges("never_allow_listed");
        for ip in [net.network(), net.broadcast()] {
            let never = metadata.iter().any(|n| n.contains(&ip));
            assert_eq!(opened.allows_address(ip), !never, "{ip}");
        }
    }
}

#[test]
fn no_policy_opens_the_metadata_addresses() {
    for net in ranges("never_allow_listed") {
        let policies = [
            NetworkPolicy::default(),
            NetworkPolicy::permissive(),
            NetworkPolicy::permissive().allow_nat64(),
            NetworkPolicy::default()
                .allow_cidr(&net.to_string())
                .unwrap(),
            NetworkPolicy::default().allow_cidr("::/0").unwrap(),
        ];
        for policy in &policies {
            for ip in [net.network(), net.broadcast()] {
                assert!(!policy.allows_address(ip), "{ip} {policy:?}");
            }
        }
    }
}

#[test]
fn what_a_policy_opens_is_open_and_nothing_else() {
    let policy = NetworkPolicy::default()
        .allow_http()
        .allow_cidr("10.1.0.0/16")
        .unwrap()
        .allow_cidr("fd12:3456::/32")
        .unwrap()
        .allow_port(6379)
        .allow_name("Hooks.Internal")
        .unwrap()
        .allow_name("*.corp.local.")
        .unwrap();
    for open in [
        "http://10.1.2.3/",
        "https://[fd12:3456::1]:6379/",
        "https://hooks.internal./",
        "https://a.b.corp.local:8443/",
        "HTTPS://bücher.example/ä?q=ö",
    ] {
        policy.check_url(open).unwrap();
    }
    for closed in [
        "http://10.2.0.1/",
        "https://[fd12:3457::1]/",
        "https://x.hooks.internal/",
        "https://corp.local/",
        "https://hooks.example.com:6380:22/",
        "https://hooks.example.com:22/",
        "https://@hooks.example.com/",
        "https://:@hooks.example.com/",
        "https://hooks.example.com/#",
        "https://hooks.example.com/\u{3000}",
        "https:////hooks.example.com/",
    ] {
        assert!(policy.check_url(closed).is_err(), "{closed}");
    }
}

#[test]
fn a_permissive_policy_opens_development_but_no_malformed_url() {
    let policy = NetworkPolicy::permissive();
    for open in [
        "http://localhost:3000/hook",
        "http://127.0.0.1:6379/",
        "https://[::1]/",
        "http://gateway/",
        "http://printer.local/",
    ] {
        policy.check_url(open).unwrap();
    }
    for closed in [
        "ftp://localhost/",
        "http://user@localhost/",
        "http://localhost/#x",
        "http://local\nhost/",
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fe80::5efe:a9fe:a9fe]/",
        "http://[2001::5601:5601]/",
        "http://a..b/",
    ] {
        assert!(policy.check_url(closed).is_err(), "{closed}");
    }
}

#[test]
fn a_refusal_names_the_field_and_the_rule() {
    let policy = NetworkPolicy::default();
    for (url, rule) in [
        ("https://hooks.example.com:22/", "port 22"),
        ("http://hooks.example.com/", "http"),
        ("https://gateway/", "single label"),
        ("https://a.svc/", "svc"),
        ("https://10.0.0.1/", "10.0.0.1"),
        ("https://u@hooks.example.com/", "user name"),
    ] {
        let error = policy.check_url(url).unwrap_err().to_string();
        assert!(error.contains("url") && error.contains(rule), "{error}");
    }
}

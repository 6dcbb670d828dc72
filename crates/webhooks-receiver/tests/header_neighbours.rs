//! Neighbours of the rows of the vectors: every bound of the header exactly and one beyond.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use webhooks_core::{SignatureGenerator, SigningKey, signature_header};
use webhooks_receiver::WebhookReceiver;

const NOW: i64 = 1_750_000_000;
const SECRET: &str = "secret";
const BODY: &[u8] = b"{}";

fn mac() -> String {
    SignatureGenerator.generate(SECRET, BODY, NOW)
}

/// The outcome for these header lines.
fn outcome(lines: &[&str]) -> &'static str {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        headers.append("x-webhook-signature", value);
    }
    let receiver = WebhookReceiver::new(SECRET);
    receiver
        .verify_at(&headers, BODY, NOW)
        .map_or_else(|error| error.code(), |()| "ok")
}

#[test]
fn every_item_has_its_grammar() {
    let mac = mac();
    let good = format!("t={NOW},v1={mac}");
    for (header, expected) in [
        (good.clone(), "ok"),
        (format!("v1={mac},t={NOW}"), "ok"),
        (format!(" \t{good}\t "), "ok"),
        (format!("t={NOW} , v1={mac}"), "ok"),
        (format!("t={NOW}\t,\t\tv1={mac}"), "ok"),
        (format!("t={NOW},v1={mac},v1={mac}"), "ok"),
        // The same bytes.
        (format!("t={NOW},v1={}", mac.to_uppercase()), "ok"),
        (format!("t={NOW},v1=,v1=x,v1={mac}"), "ok"),
        (format!("t={NOW},v1={mac},v2=a=b,x="), "ok"),
        (format!("t={NOW},T=1,V1=x,v1={mac}"), "ok"),
    ] {
        assert_eq!(outcome(&[&header]), expected, "{header:?}");
    }
}

#[test]
fn malformed_signatures_are_skipped_so_that_none_is_left() {
    let mac = mac();
    for (header, expected) in [
        (format!("t={NOW},v1=0x{mac}"), "no_usable_signature"),
        (format!("t={NOW},v1={}", &mac[1..]), "no_usable_signature"),
        (format!("t={NOW},v1={mac}0"), "no_usable_signature"),
        (format!("t={NOW},v1='{mac}'"), "no_usable_signature"),
        (format!("t={NOW},v1={mac}="), "no_usable_signature"),
        (format!("t={NOW},v1={mac};v1={mac}"), "no_usable_signature"),
        (format!("t={NOW},V1={mac}"), "no_usable_signature"),
        (format!("t={NOW},v01={mac}"), "no_usable_signature"),
        (format!("t={NOW},v1.={mac}"), "no_usable_signature"),
        (format!("t={NOW},v1="), "no_usable_signature"),
        (format!("t={NOW}"), "no_usable_signature"),
    ] {
        assert_eq!(outcome(&[&header]), expected, "{header:?}");
    }
}

#[test]
fn items_are_not_empty_and_hold_no_white_space() {
    let mac = mac();
    let good = format!("t={NOW},v1={mac}");
    for (header, expected) in [
        (format!("{good},"), "malformed_header"),
        (format!("{good}, "), "malformed_header"),
        (format!("{good},,"), "malformed_header"),
        (format!("t={NOW}, ,v1={mac}"), "malformed_header"),
        (format!("t={NOW},v1= {mac}"), "malformed_header"),
        (format!("t={NOW},v1 ={mac}"), "malformed_header"),
        (format!("t= {NOW},v1={mac}"), "malformed_header"),
        (format!("t={NOW} v1={mac}"), "malformed_header"),
        (format!("t={NOW},={mac}"), "malformed_header"),
        (format!("t={NOW},{mac}"), "malformed_header"),
        (format!("t={NOW},v1:{mac}"), "malformed_header"),
        (format!("t={NOW},v1={mac},(x)=1"), "malformed_header"),
        (format!("t={NOW},v1={mac},x=é"), "malformed_header"),
        (",".into(), "malformed_header"),
        ("=".into(), "malformed_header"),
        ("t".into(), "malformed_header"),
    ] {
        assert_eq!(outcome(&[&header]), expected, "{header:?}");
    }
}

#[test]
fn what_is_checked_first_is_told() {
    let mac = mac();
    for (header, expected) in [
        (format!("v1={mac}"), "missing_timestamp"),
        (format!("T={NOW},v1={mac}"), "missing_timestamp"),
        (format!("t={NOW},t=x"), "duplicate_timestamp"),
        (
            format!("t=x,t=y{}", ",v1=".repeat(9)),
            "duplicate_timestamp",
        ),
        (format!("t=x{}", ",v1=".repeat(9)), "bad_timestamp"),
        (
            format!("t={}{}", NOW - 301, ",v1=".repeat(9)),
            "too_many_signatures",
        ),
        (format!("t={},v1=", NOW - 301), "no_usable_signature"),
        (format!("x=1{}", ",".repeat(40)), "malformed_header"),
        (String::new(), "missing_header"),
        ("\t \t".into(), "missing_header"),
    ] {
        assert_eq!(outcome(&[&header]), expected, "{header:?}");
    }
}

#[test]
fn only_canonical_digits_are_a_time() {
    let mac = mac();
    for time in [
        "",
        "00",
        "01",
        "-0",
        "-1",
        "+1",
        " 1",
        "1.",
        "1.0",
        "1e9",
        "0x1",
        "1_000",
        "1,000",
        "1750000000000",
        "1000000000000",
        "017500000000",
        "0000000000000",
        "NaN",
        "inf",
        "1750000000s",
        "\"1750000000\"",
        "1750000000\u{2d}",
    ] {
        // A comma makes an item of what follows it, and white space is refused as such.
        let expected = match time {
            "1,000" | " 1" => "malformed_header",
            _ => "bad_timestamp",
        };
        assert_eq!(
            outcome(&[&format!("t={time},v1={mac}")]),
            expected,
            "{time:?}"
        );
    }
    for (time, expected) in [
        ("0", "timestamp_too_old"),
        ("1", "timestamp_too_old"),
        ("999999999999", "timestamp_in_future"),
        ("100000000000", "timestamp_in_future"),
    ] {
        assert_eq!(
            outcome(&[&format!("t={time},v1={mac}")]),
            expected,
            "{time:?}"
        );
    }
}

#[test]
fn every_bound_is_inside_and_one_more_is_not() {
    let mac = mac();
    let good = format!("t={NOW},v1={mac}");
    let items = |n: usize| format!("{good}{}", ",x=1".repeat(n - 2));
    assert_eq!(outcome(&[&items(32)]), "ok");
    assert_eq!(outcome(&[&items(33)]), "malformed_header");
    assert_eq!(outcome(&[&items(1_000)]), "malformed_header");
    let signatures = |n: usize| format!("t={NOW}{},v1={mac}", ",v1=0".repeat(n - 1));
    assert_eq!(outcome(&[&signatures(8)]), "ok");
    assert_eq!(outcome(&[&signatures(9)]), "too_many_signatures");
    let padded = |n: usize| format!("{good},x={}", "a".repeat(n - good.len() - 3));
    assert_eq!(padded(4_096).len(), 4_096);
    assert_eq!(outcome(&[&padded(4_096)]), "ok");
    assert_eq!(outcome(&[&padded(4_097)]), "header_too_long");
    assert_eq!(
        outcome(&[&format!("{good}{}", " ".repeat(4_096))]),
        "header_too_long"
    );
    assert_eq!(outcome(&[&good, &good]), "duplicate_header");
    assert_eq!(outcome(&[&good, ""]), "duplicate_header");
    assert_eq!(outcome(&["", &padded(5_000)]), "duplicate_header");
    assert_eq!(
        outcome(&[&format!("{good}, {good}")]),
        "duplicate_timestamp"
    );
    assert_eq!(outcome(&[]), "missing_header");
}

#[test]
fn both_sides_of_the_tolerance_have_the_same_bound() {
    let at = |time: i64, tolerance: u64, now: i64| {
        let value = signature_header([&SigningKey::new(SECRET.as_bytes())], time, BODY);
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-webhook-signature"),
            HeaderValue::try_from(value).unwrap(),
        )]);
        let receiver = WebhookReceiver::new(SECRET).with_tolerance(Duration::from_secs(tolerance));
        let verdict = receiver.verify_at(&headers, BODY, now);
        verdict.map_or_else(|error| error.code(), |()| "ok")
    };
    for tolerance in [0, 1, 300, 1_750_000_000] {
        let by = i64::try_from(tolerance).unwrap();
        assert_eq!(at(NOW - by, tolerance, NOW), "ok");
        assert_eq!(at(NOW + by, tolerance, NOW), "ok");
        if by < NOW {
            assert_eq!(at(NOW - by - 1, tolerance, NOW), "timestamp_too_old");
        }
        assert_eq!(at(NOW + by + 1, tolerance, NOW), "timestamp_in_future");
    }
    assert_eq!(at(0, 300, 0), "ok");
    assert_eq!(at(0, 300, -1), "receiver_clock");
    assert_eq!(at(999_999_999_999, u64::MAX, 0), "ok");
    assert_eq!(at(0, u64::MAX, i64::MAX), "ok");
}

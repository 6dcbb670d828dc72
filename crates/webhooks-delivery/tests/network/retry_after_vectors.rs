//! Every row of the shared vectors of `Retry-After`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use webhooks_delivery::parse_retry_after;

const VECTORS: &str = include_str!("../../../../tests/vectors/retry_after.json");

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn every_value_of_the_vectors_waits_as_long_as_it_says() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 25);
    for case in cases {
        let lines = match &case["value"] {
            Value::Array(lines) => lines.clone(),
            line => vec![line.clone()],
        };
        let now = at(case["now"].as_u64().unwrap());
        let cap = case["cap_secs"].as_u64().unwrap();
        let wait = lines
            .iter()
            .filter_map(|line| parse_retry_after(line.as_str().unwrap(), now))
            .max()
            .map(|wait| wait.as_secs().min(cap));
        assert_eq!(wait, case["expect_secs"].as_u64(), "{}", case["id"]);
    }
}

#[test]
fn a_year_of_two_digits_is_never_more_than_fifty_years_ahead() {
    let now = at(1_750_000_000);
    let wait = |value| parse_retry_after(value, now).map(|wait| wait.as_secs() / 31_536_000);
    assert_eq!(wait("Sunday, 06-Nov-94 08:49:37 GMT"), Some(0));
    assert_eq!(wait("Friday, 01-Jan-60 00:00:00 GMT"), None);
    assert_eq!(wait("Thursday, 01-Jan-60 00:00:00 GMT"), Some(34));
    assert_eq!(wait("Sunday, 15-Jun-2025 15:08:40 GMT"), None);
}

#[test]
fn numbers_have_at_most_512_digits_and_dates_at_most_64_bytes() {
    let now = at(0);
    let longest = parse_retry_after(&"9".repeat(512), now);
    assert_eq!(longest, Some(Duration::from_secs(u64::MAX)));
    assert_eq!(parse_retry_after(&"9".repeat(513), now), None);
    assert_eq!(
        parse_retry_after("Sat, 31 Dec 2016 23:59:60 GMT", at(1_483_228_790)),
        Some(Duration::from_secs(10))
    );
    for bad in [
        "Sat, 30 Feb 2030 00:00:00 GMT",
        "sun, 15 Jun 2025 15:08:40 GMT",
        "Sun, 15 Jun 2025 24:00:00 GMT",
        "Sun, 15 Jun 2025 15:08:40 GMT x",
        "Sun Jun 15 15:08:40 25",
    ] {
        assert_eq!(parse_retry_after(bad, now), None, "{bad}");
    }
}

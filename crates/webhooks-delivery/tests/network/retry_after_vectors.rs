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

#[test]
fn dates_are_taken_to_the_letter_of_their_grammar() {
    let now = at(1_750_000_000);
    for good in [
        "Sun, 15 Jun 2025 15:08:40 GMT",
        "\t Sun, 15 Jun 2025 15:08:40 GMT \t",
        "Sunday, 15-Jun-25 15:08:40 GMT",
        "Sun Jun 15 15:08:40 2025",
    ] {
        let wait = Some(Duration::from_secs(120));
        assert_eq!(parse_retry_after(good, now), wait, "{good:?}");
    }
    for past in [
        "Sun Jun  1 15:08:40 2025",
        "Sun Jun 01 15:08:40 2025",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Tue, 29 Feb 2000 00:00:00 GMT",
        "Wed Dec 31 23:59:59 1969",
    ] {
        let wait = Some(Duration::ZERO);
        assert_eq!(parse_retry_after(past, now), wait, "{past:?}");
    }
    for bad in [
        "Tue Jun 1  15:08:40 2025",
        "Sun Jun   1 15:08:40 2025",
        "Sun Jun 1 15:08:40 2025",
        "Sun Jun 15 15:08:40 2025 GMT",
        "Sun, 15 Jun 2025 15:08:40 GMT\n",
        "Sun, 15 Jun 2025 15:08:40 GMT\u{b}",
        "Sunday, 15-Jun-25 15:08:40 GMT\r",
        "Sun, 15 Jun 2025 15:08:40  GMT",
        "Sun, 15 Jun 2025 15:08:40 gmt",
        "Sun, 15 Jun 2025 15:08:40 UTC",
        "Sun, 15 Jun 2025 15:08:40",
        "Sun 15 Jun 2025 15:08:40 GMT",
        "Sunday, 15 Jun 2025 15:08:40 GMT",
        "Sun, 15-Jun-25 15:08:40 GMT",
        "Sun, 15 JUN 2025 15:08:40 GMT",
        "Sun, 5 Jun 2025 15:08:40 GMT",
        "Mon, 15 Jun 2025 15:08:40 GMT",
        "Monday, 15-Jun-25 15:08:40 GMT",
        "Mon Jun 15 15:08:40 2025",
        "Sun, 00 Jun 2025 15:08:40 GMT",
        "Tue, 31 Jun 2025 15:08:40 GMT",
        "Thu, 29 Feb 1900 00:00:00 GMT",
        "Sun, 15 Jun +025 15:08:40 GMT",
        "Sun, 15 Jun 12025 15:08:40 GMT",
        "Sun, 15 Jun 2025 15:08:60 GMT",
        "Sun, 15 Jun 2025 23:59:61 GMT",
        "Sun, 15 Jun 2025 -1:08:40 GMT",
        "Sun, 15 Jun 2025 15:08:40.0 GMT",
        "\u{a0}120",
        "120\n",
        "1 20",
        "12\u{660}",
    ] {
        assert_eq!(parse_retry_after(bad, now), None, "{bad:?}");
    }
}

#[test]
fn a_leap_second_is_the_end_of_its_day_in_every_form() {
    let now = at(1_483_228_790);
    for date in [
        "Sat, 31 Dec 2016 23:59:60 GMT",
        "Saturday, 31-Dec-16 23:59:60 GMT",
        "Sat Dec 31 23:59:60 2016",
    ] {
        let wait = parse_retry_after(date, now);
        assert_eq!(wait, Some(Duration::from_secs(10)), "{date}");
    }
}

#[test]
fn fifty_years_ahead_are_counted_by_the_calendar() {
    let now = at(1_750_000_000);
    let wait = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
    // The 15th of June, 15:06:40, is a Saturday in 2075, a Sunday in 1975.
    let fifty_years = 18_262 * 86_400;
    assert_eq!(wait("Saturday, 15-Jun-75 15:06:40 GMT"), Some(fifty_years));
    assert_eq!(wait("Saturday, 15-Jun-75 15:06:41 GMT"), None);
    assert_eq!(wait("Sunday, 15-Jun-75 15:06:41 GMT"), Some(0));
    assert_eq!(wait("Sunday, 15-Jun-75 15:06:40 GMT"), None);
    assert_eq!(wait("Tuesday, 29-Feb-72 00:00:00 GMT"), None);
    assert_eq!(wait("Monday, 29-Feb-72 00:00:00 GMT"), Some(1_473_929_600));
    assert_eq!(wait("Friday, 29-Feb-75 00:00:00 GMT"), None);
}

/// The library that others use, for every second that it can read.
#[test]
fn dates_since_1970_are_read_as_another_parser_reads_them() {
    let mut seconds = 1;
    while seconds < 253_402_300_800 {
        let text = httpdate::fmt_http_date(at(seconds));
        let wait = parse_retry_after(&text, at(0));
        assert_eq!(wait, Some(Duration::from_secs(seconds)), "{text}");
        // About every hundred days, at ever other times of the day.
        seconds += 8_640_007;
    }
}

//! Values of `Retry-After`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhooks_delivery::parse_retry_after;

/// The first second after the year 9999.
const END: u64 = 253_402_300_800;

/// The bytes are a value: what is read from it must give the same text when it is written. The
/// first eight of them are a time too: written in each form it must be read as that time.
pub fn retry_after(data: &[u8]) {
    if let Some(bytes) = data.first_chunk() {
        written_dates_are_read(u64::from_le_bytes(*bytes) % END);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let value = text.trim_matches([' ', '\t']);
    let wait = parse_retry_after(text, UNIX_EPOCH);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        let expected = (value.len() <= 512).then_some(Duration::from_secs(seconds));
        return assert_eq!(wait, expected, "{text:?}");
    }
    // A date before the start of the clock is 0, and shows no more.
    if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
        let read = forms(wait.as_secs()).iter().any(|form| form == value);
        assert!(read, "{text:?} was read as {wait:?}");
    }
    // A later clock changes nothing but what has passed, and years of two digits.
    let later = UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let is_long = !value.contains('-');
    if is_long {
        let expected = wait.map(|wait| wait.saturating_sub(Duration::from_secs(1_750_000_000)));
        assert_eq!(parse_retry_after(text, later), expected, "{text:?}");
    }
}

fn written_dates_are_read(seconds: u64) {
    let at = UNIX_EPOCH + Duration::from_secs(seconds);
    let [fixdate, rfc850, asctime, padded, ..] = forms(seconds);
    for form in [fixdate, asctime, padded] {
        let wait = parse_retry_after(&form, UNIX_EPOCH);
        assert_eq!(wait, Some(Duration::from_secs(seconds)), "{form}");
    }
    // Seen from a day before, the century is the date's own.
    let before = at.checked_sub(Duration::from_secs(86_400)).unwrap();
    let wait = parse_retry_after(&rfc850, before);
    assert_eq!(wait, Some(Duration::from_secs(86_400)), "{rfc850}");
}

/// Every text that means this second: the three forms, with a day padded by a space or a zero, and
/// the same for the leap second before it.
fn forms(seconds: u64) -> [String; 8] {
    let [a, b, c, d] = plain_forms(seconds);
    let leap = |text: String| text.replace("23:59:59", "23:59:60");
    let [e, f, g, h] = plain_forms(seconds.saturating_sub(1)).map(leap);
    [a, b, c, d, e, f, g, h]
}

fn plain_forms(seconds: u64) -> [String; 4] {
    let at: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds.min(END - 1));
    let fixdate = httpdate::fmt_http_date(at);
    let words: Vec<&str> = fixdate.split(' ').collect();
    let [weekday, day, month, year, time, _] = words[..] else {
        unreachable!("{fixdate}")
    };
    let weekday = weekday.trim_end_matches(',');
    let full = match weekday {
        "Tue" => "Tuesday".to_owned(),
        "Wed" => "Wednesday".to_owned(),
        "Thu" => "Thursday".to_owned(),
        "Sat" => "Saturday".to_owned(),
        short => format!("{short}day"),
    };
    let number: u32 = day.parse().unwrap();
    [
        fixdate.clone(),
        format!("{full}, {day}-{month}-{} {time} GMT", &year[2..]),
        format!("{weekday} {month} {number:>2} {time} {year}"),
        format!("{weekday} {month} {day} {time} {year}"),
    ]
}

//! How long an answer asks to be left alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most digits of a number of seconds, and the longest date, that are looked at.
const MAX_DIGITS: usize = 512;
const MAX_DATE: usize = 64;

/// The mean length of 50 years.
const FIFTY_YEARS: Duration = Duration::from_secs(50 * 31_557_600);
/// The last second that has a date with a year of four digits.
const LAST_SECOND: u64 = 253_402_300_799;

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// How long the value of a `Retry-After` header asks to wait, counted from `now` (RFC 9110 section
/// 10.2.3): a number of seconds, or a date in one of the three forms of section 5.6.7.
///
/// Not capped: numbers saturate at `u64::MAX` seconds, which the caller caps. A date in the past is
/// zero. `None` for anything else, such as a day that does not exist or has another weekday.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use webhooks_delivery::parse_retry_after;
///
/// let wait = parse_retry_after("120", SystemTime::UNIX_EPOCH);
/// assert_eq!(wait, Some(Duration::from_secs(120)));
/// assert_eq!(parse_retry_after("soon", SystemTime::UNIX_EPOCH), None);
/// ```
#[must_use]
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if value.is_empty() {
        return None;
    }
    if value.bytes().all(|b| b.is_ascii_digit()) {
        return (value.len() <= MAX_DIGITS).then(|| seconds(value));
    }
    if value.len() > MAX_DATE || !value.is_ascii() {
        return None;
    }
    let date = fixdate(value)
        .or_else(|| rfc850(value, now))
        .or_else(|| asctime(value))?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn seconds(digits: &str) -> Duration {
    let value = digits.bytes().fold(0_u64, |value, digit| {
        let digit = u64::from(digit.saturating_sub(b'0'));
        value.saturating_mul(10).saturating_add(digit)
    });
    Duration::from_secs(value)
}

/// Parses the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`, exactly as it is written. The
/// library checks that the day exists and is that weekday.
fn fixdate(text: &str) -> Option<SystemTime> {
    // The last second of a day with a leap second is one that clocks do not know.
    if let Some(day) = text.strip_suffix("23:59:60 GMT") {
        return Some(fixdate(&format!("{day}23:59:59 GMT"))? + Duration::from_secs(1));
    }
    // The library takes the other forms too, but reads their years by another rule.
    (text.as_bytes().get(3) == Some(&b','))
        .then(|| httpdate::parse_http_date(text).ok())
        .flatten()
}

/// Parses `Sunday, 06-Nov-94 08:49:37 GMT`. A date that would be more than 50 years ahead is the
/// latest one in the past with the same last digits of its year.
fn rfc850(text: &str, now: SystemTime) -> Option<SystemTime> {
    let (day, rest) = text.split_once(", ")?;
    let day = DAYS.into_iter().find(|name| *name == day)?.get(..3)?;
    let (date, time) = rest.split_once(' ')?;
    let [date, month, short] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    if short.len() != 2 || !short.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let short: u64 = short.parse().ok()?;
    let horizon = now.checked_add(FIFTY_YEARS)?;
    let last = year(horizon)?;
    let latest = last.checked_sub(last.checked_sub(short)? % 100)?;
    let in_year = |year: u64| fixdate(&format!("{day}, {date} {month} {year:04} {time}"));
    in_year(latest)
        .filter(|at| *at <= horizon)
        .or_else(|| in_year(latest.checked_sub(100)?))
}

fn year(at: SystemTime) -> Option<u64> {
    at.duration_since(UNIX_EPOCH)
        .ok()
        .filter(|since| since.as_secs() <= LAST_SECOND)?;
    httpdate::fmt_http_date(at).get(12..16)?.parse().ok()
}

/// Parses `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &str) -> Option<SystemTime> {
    let (day, month, date) = (text.get(..3)?, text.get(4..7)?, text.get(8..10)?);
    let (time, year) = (text.get(11..19)?, text.get(20..)?);
    let is_space = |at: &usize| text.as_bytes().get(*at) == Some(&b' ');
    if ![3, 7, 10, 19].iter().all(is_space) {
        return None;
    }
    let date = date.replacen(' ', "0", 1);
    fixdate(&format!("{day}, {date} {month} {year} {time} GMT"))
}

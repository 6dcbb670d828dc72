//! How long a response asks to be left alone.

use std::time::{Duration, SystemTime};

use crate::http::http_date;

/// The most digits of a number of seconds, and the longest date, that are looked at.
const MAX_DIGITS: usize = 512;
const MAX_DATE: usize = 64;

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
    if value.len() > MAX_DATE {
        return None;
    }
    let date = http_date::parse(value, now)?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn seconds(digits: &str) -> Duration {
    let value = digits.bytes().fold(0_u64, |value, digit| {
        let digit = u64::from(digit.saturating_sub(b'0'));
        value.saturating_mul(10).saturating_add(digit)
    });
    Duration::from_secs(value)
}

//! Times and lengths of time as people write them: `30s`, `5m`, `90d`.

use std::time::{Duration, UNIX_EPOCH};

use better_auth_webhooks::{SystemClock, Timestamp};
use webhooks_core::Clock;

/// Reads one, for a flag.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a length of time, as in 30s, 5m or 90d".into())
}

/// Reads a time, for a flag: RFC 3339 as it is, or how long ago it was. Whoever gets it checks the first kind.
pub(crate) fn time(text: &str) -> Result<String, String> {
    match humantime::parse_duration(text) {
        Ok(ago) => Ok(SystemClock.now().before(ago).to_string()),
        Err(_) if text.contains('T') => Ok(text.to_owned()),
        Err(_) => Err("a time, as in 2026-05-01T12:00:00Z, or how long ago, as in 24h".into()),
    }
}

/// Reads a time, for a flag: RFC 3339, or how long ago it was.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(SystemClock.now().before(ago));
    }
    let at = humantime::parse_rfc3339(text).ok();
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    millis
        .map(Timestamp::from_millis)
        .ok_or_else(|| "a time, as in 2026-05-01T12:00:00Z, or how long ago, as in 24h".into())
}

/// When it is over, if it begins now: RFC 3339.
pub(crate) fn from_now(duration: Duration) -> String {
    SystemClock.now().after(duration).to_string()
}

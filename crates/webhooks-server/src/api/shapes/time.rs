//! Times and durations as they go over the wire.

use std::time::{Duration, SystemTime};

use webhooks_core::Timestamp;

use crate::problem::Problem;

/// A time in text, as RFC 3339.
pub(in crate::api) fn time(text: &str, field: &str) -> Result<Timestamp, Problem> {
    let malformed = || Problem::malformed(format!("{field} is no time of RFC 3339 in UTC"));
    let at = humantime::parse_rfc3339(text).map_err(|_| malformed())?;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| malformed())?;
    let millis = i64::try_from(since.as_millis()).map_err(|_| malformed())?;
    Ok(Timestamp::from_millis(millis))
}

/// Whole milliseconds.
pub(in crate::api) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

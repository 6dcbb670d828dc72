//! Times as callers write them.

use std::time::SystemTime;

use webhooks_core::Timestamp;

use crate::problem::Problem;

/// A time in text, as RFC 3339.
pub(crate) fn time(text: &str, field: &str) -> Result<Timestamp, Problem> {
    let malformed = || Problem::malformed(format!("{field} is no time of RFC 3339 in UTC"));
    let at = humantime::parse_rfc3339(text).map_err(|_| malformed())?;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| malformed())?;
    let millis = i64::try_from(since.as_millis()).map_err(|_| malformed())?;
    Ok(Timestamp::from_millis(millis))
}

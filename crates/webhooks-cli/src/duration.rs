//! Lengths of time as people write them: `30s`, `5m`, `90d`.

use std::time::Duration;

/// Reads one, for a flag.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a length of time, as in 30s, 5m or 90d".into())
}

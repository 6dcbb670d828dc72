//! Lengths of time as people write them: `30s`, `5m`, `90d`.

use std::time::Duration;

use better_auth_webhooks::SystemClock;
use webhooks_core::Clock;

/// Reads one, for a flag.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a length of time, as in 30s, 5m or 90d".into())
}

/// When it is over, if it begins now: RFC 3339.
pub(crate) fn from_now(duration: Duration) -> String {
    SystemClock.now().after(duration).to_string()
}

//! The storage's clock, where callers give no time.

use std::time::SystemTime;

use webhooks_core::Timestamp;

/// The time of the machine. All processes on one file are on one machine.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

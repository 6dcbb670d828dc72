//! The wall clock: the one place where this crate reads the time.

use std::time::SystemTime;

use webhooks_core::Timestamp;

#[expect(
    clippy::disallowed_methods,
    reason = "callers who do not pass the time in ask for the wall clock"
)]
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

//! The clock of the operating system.

use std::time::SystemTime;

use webhooks_core::{Clock, Timestamp};

/// Tells the time of the operating system, which may be set back or forward.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is a clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

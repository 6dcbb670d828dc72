//! Several events in one request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Result, WebhookError, whole};

/// When the events that wait for an endpoint go out together: once there are `max_events` of them, or
/// the oldest has waited for `max_wait_ms`. Until then they wait in the storage, for whichever process
/// takes them, and a changed batch takes effect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchConfig {
    /// Events of one request at most, 1 to 1,000.
    pub max_events: u32,
    /// How long the first event waits for others, in milliseconds, at most 60,000.
    pub max_wait_ms: u64,
    /// Bytes of the events of one request at most, 1 to 16 MiB; a larger single event goes alone.
    /// What does not fit goes in another request at the same time. It makes no batch go earlier.
    pub max_bytes: usize,
}

impl BatchConfig {
    /// The same with this [`max_wait_ms`](Self::max_wait_ms), in whole milliseconds, rounded up.
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait_ms = whole::millis(wait);
        self
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the field.
    pub fn validate(&self) -> Result<()> {
        let refuse = |text: String| Err(WebhookError::InvalidConfig(text.into()));
        if !(1..=1_000).contains(&self.max_events) {
            return refuse(format!(
                "batch: max_events is {}, it needs 1 to 1000",
                self.max_events
            ));
        }
        if self.max_wait_ms > 60_000 {
            return refuse(format!(
                "batch: max_wait_ms is {}, at most 60000",
                self.max_wait_ms
            ));
        }
        if !(1..=16 << 20).contains(&self.max_bytes) {
            return refuse(format!(
                "batch: max_bytes is {}, it needs 1 to {}",
                self.max_bytes,
                16 << 20
            ));
        }
        Ok(())
    }
}

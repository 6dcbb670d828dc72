//! How fast an endpoint may be sent to.

use serde::{Deserialize, Serialize};

use crate::{Result, WebhookError};

/// The largest rate and burst.
const MOST: u32 = 1_000_000;

/// A token bucket: it holds `burst_size` tokens at most, gains `requests_per_second` of them a
/// second, and each request takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimitConfig {
    /// Tokens gained a second, 1 to 1,000,000.
    pub requests_per_second: u32,
    /// Tokens held at most, 1 to 1,000,000.
    pub burst_size: u32,
}

impl RateLimitConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the field.
    pub fn validate(&self) -> Result<()> {
        let fields = [
            ("requests_per_second", self.requests_per_second),
            ("burst_size", self.burst_size),
        ];
        for (name, value) in fields {
            if !(1..=MOST).contains(&value) {
                return Err(WebhookError::InvalidConfig(
                    format!("rate limit: {name} is {value}, it needs 1 to {MOST}").into(),
                ));
            }
        }
        Ok(())
    }
}

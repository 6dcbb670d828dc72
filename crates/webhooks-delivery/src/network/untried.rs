//! Why nothing was sent.

use std::fmt;

use webhooks_core::WebhookError;

/// Why nothing was sent, though nothing is known against who was to get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untried {
    /// This process is short of descriptors, local ports or memory.
    Shortage,
}

impl fmt::Display for Untried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shortage => "this process is short of descriptors, local ports or memory",
        })
    }
}

impl From<Untried> for WebhookError {
    fn from(untried: Untried) -> Self {
        Self::not_tried(format!("nothing was sent: {untried}"))
    }
}

//! Why nothing was sent.
//!
//! This is the error that is no attempt: the delivery goes back uncounted, and no circuit or
//! failing time hears of it.

use std::fmt;

use webhooks_core::WebhookError;

/// Why nothing was sent, though nothing is known against who was to get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untried {
    /// This process is short of descriptors, local ports or memory.
    Shortage,
    /// The egress proxy is not there, or not for us; what is wrong with it.
    Proxy(&'static str),
}

impl fmt::Display for Untried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shortage => {
                f.write_str("this process is short of descriptors, local ports or memory")
            }
            Self::Proxy(problem) => write!(f, "the proxy {problem}"),
        }
    }
}

impl From<Untried> for WebhookError {
    fn from(untried: Untried) -> Self {
        Self::not_tried(format!("nothing was sent: {untried}"))
    }
}

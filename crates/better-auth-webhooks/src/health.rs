//! Whether the system works.

use serde::Serialize;

/// Whether the system works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The storage answers.
    pub storage: bool,
    /// The tasks that deliver run, and hold their leases.
    pub dispatcher: bool,
    /// What comes of requests is stored: the storage refuses none of it for good (see
    /// [`RefusedMetrics`](crate::RefusedMetrics)), and does not fail again and again at it.
    pub settling: bool,
}

impl Health {
    /// Whether everything works.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        self.storage && self.dispatcher && self.settling
    }
}

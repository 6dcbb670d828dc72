//! The time at which something happens.

use std::time::Instant;

use webhooks_core::Timestamp;

/// The time at which something happens, read once for each and passed down, so that all that follows
/// from it is judged by the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For how long something lasts on this machine; it also counts time spent suspended.
    pub(crate) moment: Instant,
    /// The storage's time, by which all nodes agree on when something is due.
    pub(crate) at: Timestamp,
}

use serde::Serialize;

use crate::{Timestamp, WorkerId};

/// A process as the storage knows it, which makes one with [`new`](Self::new).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerRecord {
    /// Which process.
    pub id: WorkerId,
    /// When it last beat, or leased something if it never did.
    pub seen_at: Timestamp,
    /// Deliveries that it has leased.
    pub leased: u64,
}

impl WorkerRecord {
    /// A process that was seen then and holds so many leases.
    #[must_use]
    pub const fn new(id: WorkerId, seen_at: Timestamp, leased: u64) -> Self {
        Self {
            id,
            seen_at,
            leased,
        }
    }
}

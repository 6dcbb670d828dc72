use std::collections::BTreeSet;

use webhooks_core::storage::spi::WORKER_DEAD_AFTER;
use webhooks_core::{Timestamp, WorkerId};

/// Who leases deliveries.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    /// The last sign of life: a beat, or the first lease of a worker that did not beat before.
    pub(crate) seen_at: Timestamp,
    pub(crate) has_beaten: bool,
    /// It was given up for dead and does not know yet.
    pub(crate) given_up: bool,
    /// Handles of the rows that it holds, in an order, so that the same calls lead to the same state.
    pub(crate) leased: BTreeSet<u32>,
}

impl Worker {
    /// One that is seen for the first time.
    pub(crate) fn new(id: WorkerId, now: Timestamp) -> Self {
        Self {
            id,
            seen_at: now,
            has_beaten: false,
            given_up: false,
            leased: BTreeSet::new(),
        }
    }

    /// Whether it may be given up for dead. No silence is older than the storage, which may have been
    /// what was silent.
    pub(crate) fn is_silent(&self, started_at: Timestamp, now: Timestamp) -> bool {
        now.since(self.seen_at.max(started_at)) >= WORKER_DEAD_AFTER
    }
}

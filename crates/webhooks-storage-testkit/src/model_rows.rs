//! What the model keeps.

use webhooks_core::storage::GateState;
use webhooks_core::{BatchConfig, CancelReason, DeadReason, DeliveryId, DeliveryState, Timestamp};

/// An endpoint or its tombstone.
#[derive(Debug)]
pub(crate) struct ModelEndpoint {
    pub(crate) enabled: bool,
    pub(crate) deleted: bool,
    // A change of tenant makes a new incarnation, and so does a save after a deletion.
    pub(crate) tenant: Option<String>,
    pub(crate) incarnation: u64,
    pub(crate) batch: Option<BatchConfig>,
    pub(crate) gate: GateState,
}

/// A delivery.
#[derive(Clone, Debug)]
pub(crate) struct ModelRow {
    pub(crate) id: DeliveryId,
    pub(crate) endpoint: String,
    /// Ready and scheduled are told apart by `due_at` alone, and stand here as ready.
    pub(crate) state: DeliveryState,
    pub(crate) incarnation: u64,
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) erased: bool,
    pub(crate) due_at: Timestamp,
    /// The token that it was last leased under; 0 before the first lease.
    pub(crate) token: u64,
    /// Whoever leased it last.
    pub(crate) worker: String,
    /// By this its endpoint's ready rows are ordered; equal ones may come in any order here.
    pub(crate) sort_key: i64,
    pub(crate) priority: webhooks_core::Priority,
    pub(crate) sent_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A worker that has beaten.
#[derive(Debug)]
pub(crate) struct ModelWorker {
    pub(crate) beat_at: Timestamp,
    pub(crate) given_up: bool,
}

// Of gates only what lets claims through is asked here; holds and limits depend on the time and on
// the leases.
impl ModelEndpoint {
    pub(crate) fn is_open(&self) -> bool {
        self.enabled && !self.deleted && !self.gate.paused
    }
}

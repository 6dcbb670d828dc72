use std::sync::Arc;

use webhooks_core::storage::POISON_SUSPECT_CRASHES;
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryState, Priority, Timestamp, WebhookEvent,
};

/// One delivery as it is kept. There may be a million of them, so it stays below 100 bytes: its
/// endpoint and its worker are handles, and the event is shared.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: DeliveryId,
    pub(crate) event: Arc<WebhookEvent>,
    /// When it was sent or replayed: its place in the queue comes from this.
    pub(crate) sent_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Tells rows apart that were sent in the same millisecond, and the users of one handle.
    pub(crate) seq: u64,
    pub(crate) token: u64,
    pub(crate) endpoint: u32,
    /// Who leases it; means nothing in other states.
    pub(crate) worker: u32,
    pub(crate) attempts: u32,
    pub(crate) max_retries: u32,
    /// Of the endpoint that it is for.
    pub(crate) incarnation: u32,
    pub(crate) by_name: bool,
    pub(crate) crashes: u8,
    pub(crate) priority: Priority,
    pub(crate) state: DeliveryState,
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
}

impl Row {
    /// The row's place among the ready rows of its endpoint.
    pub(crate) fn ready_key(&self) -> (i64, u64) {
        (self.priority.sort_key(self.sent_at), self.seq)
    }

    /// Whether it is a poison suspect: it may be what killed those who held it.
    pub(crate) fn is_poison_suspect(&self) -> bool {
        u32::from(self.crashes) >= POISON_SUSPECT_CRASHES
    }

    /// The row's place among the scheduled rows.
    pub(crate) fn due_key(&self) -> (Timestamp, u64) {
        (self.due_at, self.seq)
    }

    /// An erased event has no bytes; no other event has none, since an envelope is never empty.
    pub(crate) fn is_erased(&self) -> bool {
        self.event.payload.is_empty()
    }
}

use std::sync::Arc;

use webhooks_core::storage::spi::POISON_SUSPECT_CRASHES;
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
    /// When it may go. Of a dead or ended row, when it last could.
    pub(crate) due_at: Timestamp,
    /// When its state changed last, for listings and for retention.
    pub(crate) updated_at: Timestamp,
    /// Tells rows apart that were sent in the same millisecond, and the users of one handle.
    pub(crate) seq: u64,
    /// The fencing token: grows with each lease, and is never set back.
    pub(crate) token: u64,
    pub(crate) endpoint: u32,
    /// Who leases it; means nothing in other states.
    pub(crate) worker: u32,
    pub(crate) attempts: u32,
    pub(crate) max_retries: u32,
    /// Of the endpoint that it is for.
    pub(crate) incarnation: u32,
    /// Whether the sender named this endpoint, so that filters are not asked again.
    pub(crate) by_name: bool,
    /// Holders that died with it. A byte, since the third crash ends it.
    pub(crate) crashes: u8,
    pub(crate) priority: Priority,
    pub(crate) state: DeliveryState,
    // Set only in the state that they are the reason of, and no more in another: a replay clears
    // the first.
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
}

impl Row {
    /// The row's place among the ready rows of its endpoint.
    pub(crate) fn ready_key(&self) -> (i64, u64) {
        (self.priority.sort_key(self.sent_at), self.seq)
    }

    /// Whether it is a poison suspect: it may be what killed those who held it.
    ///
    /// Suspects are claimed one at a time, so that the next death names the guilty one.
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

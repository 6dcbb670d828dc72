use std::num::NonZeroU16;

use webhooks_core::storage::spi::POISON_SUSPECT_CRASHES;
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryState, FailureKind, OnDead, Priority, Timestamp,
};

/// One delivery as it is kept. There may be a million of them, so it stays below 100 bytes: its
/// event, its endpoint, its worker and its order are handles.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: DeliveryId,
    /// When it was sent or replayed: its place in the queue comes from this.
    pub(crate) sent_at: Timestamp,
    /// When it may go. Of a dead or ended row, when it last could.
    pub(crate) due_at: Timestamp,
    /// When its state changed last, for listings and for retention.
    pub(crate) updated_at: Timestamp,
    /// Tells rows apart that were sent in the same millisecond, and the users of one handle. It is
    /// also the row's place in its order, so that places are those of the commits.
    pub(crate) seq: u64,
    /// The fencing token: grows with each lease, and is never set back.
    pub(crate) token: u64,
    pub(crate) event: u32,
    pub(crate) endpoint: u32,
    /// Who leases it; means nothing in other states.
    pub(crate) worker: u32,
    /// The order in which it stands, or stood before it ended; [`NO_ORDER`] if in none.
    pub(crate) order: u32,
    pub(crate) attempts: u32,
    /// Of the endpoint that it is for.
    pub(crate) incarnation: u32,
    /// Of the last attempt that was settled under a lease that was held, as `last_failure`.
    pub(crate) last_status: Option<NonZeroU16>,
    pub(crate) last_failure: Option<FailureKind>,
    /// Whether the sender named this endpoint, so that filters are not asked again.
    pub(crate) by_name: bool,
    /// Holders that died with it. A byte, since the third crash ends it.
    pub(crate) crashes: u8,
    pub(crate) priority: Priority,
    pub(crate) state: DeliveryState,
    // Set only in the state that they are the reason of, and no more in another: a replay clears
    // them.
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) on_dead: OnDead,
    /// It was erased, though its event may not be.
    pub(crate) erased: bool,
}

/// The `order` of a row without one. No arena has so many entries.
pub(crate) const NO_ORDER: u32 = u32::MAX;

// What a million rows take is what the documentation of the limits promises.
const _: () = assert!(size_of::<Row>() <= 96);

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

    /// The row's place among the blocked rows: since when its wait counts.
    pub(crate) fn age_key(&self) -> (Timestamp, u64) {
        (self.sent_at.max(self.due_at), self.seq)
    }

    /// Whether it waits in the storage alone, with no worker.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(
            self.state,
            DeliveryState::Blocked | DeliveryState::Ready | DeliveryState::Scheduled
        )
    }

    /// The order in which it stands or stood.
    pub(crate) fn order(&self) -> Option<u32> {
        (self.order != NO_ORDER).then_some(self.order)
    }

    /// Begins a new series: nothing is left of the attempts of the last one but the token, so that
    /// nobody who held it earlier can settle it.
    pub(crate) fn begin_anew(&mut self, now: Timestamp) {
        (self.attempts, self.crashes) = (0, 0);
        (self.dead_reason, self.cancel_reason) = (None, None);
        (self.last_status, self.last_failure) = (None, None);
        self.sent_at = now;
    }
}

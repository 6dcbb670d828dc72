use std::sync::Arc;

use crate::{
    AttemptRecord, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp, WebhookDelivery,
};

/// Which deliveries; every field that is set must match.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// This delivery.
    pub id: Option<DeliveryId>,
    /// Deliveries of this event.
    pub event_id: Option<EventId>,
    /// Deliveries to this endpoint.
    pub endpoint_id: Option<Arc<str>>,
    /// Deliveries of events of exactly this type.
    pub event_type: Option<Arc<str>>,
    /// Deliveries of events sent for this tenant.
    pub tenant: Option<Arc<str>>,
    /// Deliveries in one of these states; empty means any.
    pub states: Vec<DeliveryState>,
    /// Events sent at this time or later.
    pub from: Option<Timestamp>,
    /// Events sent before this time.
    pub to: Option<Timestamp>,
    /// Deliveries with a smaller id: the next page.
    pub before: Option<DeliveryId>,
    /// Deliveries of one page. Defaults to 100.
    pub limit: usize,
    /// Whether to read the log of attempts too.
    pub with_attempts: bool,
}

impl Default for DeliveryQuery {
    fn default() -> Self {
        Self {
            id: None,
            event_id: None,
            endpoint_id: None,
            event_type: None,
            tenant: None,
            states: Vec::new(),
            from: None,
            to: None,
            before: None,
            limit: 100,
            with_attempts: false,
        }
    }
}

/// A delivery as the storage has it.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// The delivery; its lease only while it is leased.
    pub delivery: WebhookDelivery,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// Its attempts, oldest first, as far as the log still has them and the query asked.
    pub attempts: Vec<AttemptRecord>,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to pass as `before` for the next page, if there may be one.
    pub next: Option<DeliveryId>,
}

/// A change of deliveries by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Dead ones become ready, as if sent now, with no attempt and no crash. Not those whose
    /// endpoint is deleted or whose payload is erased.
    Replay,
    /// Ready and scheduled ones become cancelled.
    Cancel,
    /// Ended ones are dropped; dead ones count as purged from then on.
    Purge,
    /// Payloads are dropped. Ready and scheduled ones become cancelled; leased ones do when they
    /// would wait again.
    Erase,
}

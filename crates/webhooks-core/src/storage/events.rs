//! Events as a storage keeps them, once, for all of their deliveries.

use std::sync::Arc;

use serde::Serialize;

use super::query::check_page;
use super::spi::NewDelivery;
use crate::text_rule::name_problem;
use crate::{
    DeliveryId, DeliveryState, EventFilter, EventId, Priority, Result, Timestamp, WebhookError,
    WebhookEvent,
};

/// Which events; every field that is set must match.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// One of these events; `None` means any.
    pub ids: Option<Vec<EventId>>,
    /// Events whose type passes.
    pub event_type: Option<EventFilter>,
    /// Events sent for this tenant.
    pub tenant: Option<Arc<str>>,
    /// Events sent at this time or later.
    pub from: Option<Timestamp>,
    /// Events sent before this time.
    pub to: Option<Timestamp>,
    /// Events with a smaller id: the next page.
    pub before: Option<EventId>,
    /// Events with a larger id, oldest first instead of newest first: the first page behind the nil
    /// id, the next one behind the last id of a page.
    pub after: Option<EventId>,
    /// Events of one page, 1 to 1,000. Defaults to 100.
    pub limit: usize,
    /// Whether to read their payloads too.
    pub with_payload: bool,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self {
            ids: None,
            event_type: None,
            tenant: None,
            from: None,
            to: None,
            before: None,
            after: None,
            limit: 100,
            with_payload: false,
        }
    }
}

impl EventQuery {
    /// Checks every field. Storages call it before they look.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] that names the field and its bound.
    pub fn validate(&self) -> Result<()> {
        super::query::check_ids("ids", self.ids.as_deref())?;
        let tenant = self.tenant.as_deref();
        match tenant.and_then(|tenant| name_problem("tenant", tenant)) {
            None => check_page(self.limit),
            Some(problem) => Err(WebhookError::InvalidQuery(problem.into())),
        }
    }

    /// Whether an event matches, its place in the listing aside.
    #[must_use]
    pub fn matches(&self, event: &WebhookEvent) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&event.id))
            && (self.event_type.as_ref()).is_none_or(|of| of.matches(&event.event_type))
            && (self.tenant.as_deref()).is_none_or(|of| Some(of) == event.tenant.as_deref())
            && self.from.is_none_or(|from| from <= event.created_at)
            && self.to.is_none_or(|to| event.created_at < to)
    }
}

/// An event as the storage has it, which makes one with [`new`](Self::new) and sets the rest.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// The event; its payload only if the query asked for it.
    pub event: Arc<WebhookEvent>,
    /// How urgent its deliveries are.
    pub priority: Priority,
    /// When its deliveries might go.
    pub due_at: Timestamp,
    /// Retries of each delivery after its first attempt.
    pub max_retries: u32,
    /// Bytes of the payload; 0 once it was erased.
    pub payload_bytes: usize,
    /// The payload was erased.
    pub payload_erased: bool,
    /// How many of its deliveries are in each state, those that were dropped aside.
    pub deliveries: StateCounts,
}

impl EventRecord {
    /// An event of normal priority, due when it was sent, with its payload and without deliveries.
    #[must_use]
    pub fn new(event: Arc<WebhookEvent>) -> Self {
        Self {
            priority: Priority::default(),
            due_at: event.created_at,
            max_retries: 0,
            payload_bytes: event.payload.len(),
            payload_erased: event.payload.is_empty(),
            deliveries: StateCounts::default(),
            event,
        }
    }
}

/// How many deliveries are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StateCounts {
    /// Wait for those before them in their order.
    pub blocked: u64,
    /// Wait for a worker.
    pub ready: u64,
    /// Wait for their time.
    pub scheduled: u64,
    /// A worker has them.
    pub leased: u64,
    /// Arrived.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl StateCounts {
    /// Counts so many more in this state.
    pub const fn add(&mut self, state: DeliveryState, by: u64) {
        *self.of(state) += by;
    }

    /// Counts so many less in this state.
    pub const fn take(&mut self, state: DeliveryState, by: u64) {
        *self.of(state) -= by;
    }

    const fn of(&mut self, state: DeliveryState) -> &mut u64 {
        match state {
            DeliveryState::Blocked => &mut self.blocked,
            DeliveryState::Ready => &mut self.ready,
            DeliveryState::Scheduled => &mut self.scheduled,
            DeliveryState::Leased => &mut self.leased,
            DeliveryState::Delivered => &mut self.delivered,
            DeliveryState::Dead => &mut self.dead,
            DeliveryState::Cancelled => &mut self.cancelled,
        }
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let waiting = self.blocked + self.ready + self.scheduled + self.leased;
        waiting + self.delivered + self.dead + self.cancelled
    }
}

/// One more delivery of an event that is kept.
#[derive(Clone, Debug)]
pub struct EventDelivery {
    /// Which event.
    pub event_id: EventId,
    /// The delivery. It is never leased at once.
    pub delivery: NewDelivery,
}

/// What became of an [`EventDelivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveredEvent {
    /// It is stored.
    Stored,
    /// It went to the dead letters at once, because the endpoint's backlog is full.
    Dead,
    /// The event has this delivery to this incarnation of the endpoint already.
    Exists(DeliveryId),
    /// The endpoint is gone, or another one has its id.
    Missing,
    /// There is no such event.
    NoEvent,
    /// The payload of the event was erased.
    Erased,
}

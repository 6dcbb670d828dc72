use std::sync::Arc;

use serde::Serialize;

use crate::event_type::problem as event_type_problem;
use crate::named::named;
use crate::text_rule::{id_problem, name_problem};
use crate::{
    AttemptRecord, CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Result, Timestamp,
    WebhookDelivery, WebhookError,
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
    /// Deliveries whose state last changed before this time. With the time of a call's beginning a
    /// walk in several steps sees what was there then: what it has changed it does not meet again.
    pub updated_before: Option<Timestamp>,
    /// Deliveries with a smaller id: the next page.
    pub before: Option<DeliveryId>,
    /// Deliveries of one page, 1 to 1,000. Defaults to 100.
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
            updated_before: None,
            before: None,
            limit: 100,
            with_attempts: false,
        }
    }
}

/// The most deliveries of one page.
pub const MAX_PAGE: usize = 1_000;

impl DeliveryQuery {
    /// Checks every field. Storages call it before they look, so that each of them gives the same
    /// answer.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] that names the field and its bound.
    pub fn validate(&self) -> Result<()> {
        self.validate_filters()?;
        check_page(self.limit)
    }

    /// Checks every field but `limit`, which a [`change`](super::WebhookStorage::change) does not
    /// look at.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate).
    pub fn validate_filters(&self) -> Result<()> {
        let id = self.endpoint_id.as_deref();
        let event_type = self.event_type.as_deref();
        let problem = id
            .and_then(|id| id_problem("endpoint_id", id))
            .or_else(|| event_type.and_then(event_type_problem))
            .or_else(|| name_problem("tenant", self.tenant.as_deref()?));
        match problem {
            None => Ok(()),
            Some(problem) => Err(WebhookError::InvalidQuery(problem.into())),
        }
    }
}

/// Checks how many deliveries are asked for at a time.
fn check_page(limit: usize) -> Result<()> {
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(());
    }
    let text = format!("limit is {limit}, it needs 1 to {MAX_PAGE}");
    Err(WebhookError::InvalidQuery(text.into()))
}

/// A delivery as the storage has it, which makes one with [`new`](Self::new) and sets the rest.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// The delivery; its lease only while it is leased.
    pub delivery: WebhookDelivery,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// Why it is cancelled, if it is.
    pub cancel_reason: Option<CancelReason>,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// Its attempts, oldest first, as far as the log still has them and the query asked.
    pub attempts: Vec<AttemptRecord>,
}

impl DeliveryRecord {
    /// A delivery in this state since then, without reasons and attempts.
    #[must_use]
    pub const fn new(
        delivery: WebhookDelivery,
        state: DeliveryState,
        updated_at: Timestamp,
    ) -> Self {
        Self {
            delivery,
            state,
            dead_reason: None,
            cancel_reason: None,
            updated_at,
            attempts: Vec::new(),
        }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to pass as `before` for the next page, if there may be one.
    pub next: Option<DeliveryId>,
}

impl<T> Page<T> {
    /// A page with this on it, and where the next one begins.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<DeliveryId>) -> Self {
        Self { items, next }
    }
}

/// A change of deliveries by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Dead ones become ready, as if sent now, with no attempt and no crash. Not those of an
    /// endpoint that is deleted or of an earlier
    /// [incarnation](super::EndpointRecord::incarnation), nor those whose payload is erased.
    Replay,
    /// Ready and scheduled ones become cancelled.
    Cancel,
    /// Ended ones are dropped; dead ones count as purged from then on.
    Purge,
    /// Payloads are dropped. Ready and scheduled ones become cancelled; leased ones do when they
    /// would wait again.
    Erase,
}

named!(Change, "change", {
    Replay => "replay",
    Cancel => "cancel",
    Purge => "purge",
    Erase => "erase",
});

/// What a [`change`](super::WebhookStorage::change) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// Deliveries that were changed.
    pub changed: usize,
    /// What to pass as `before` to go on, if there may be more: everything from there up was looked
    /// at. Set after as many changes as were asked for, or as many looks as a call may take.
    pub next: Option<DeliveryId>,
}

impl Changed {
    /// So many changes, and where to go on.
    #[must_use]
    pub const fn new(changed: usize, next: Option<DeliveryId>) -> Self {
        Self { changed, next }
    }
}

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::named::named;
use crate::text_rule::{id_problem, name_problem};
use crate::{
    AttemptRecord, CancelReason, DeadReason, DeliveryId, DeliveryState, EventFilter, EventId,
    FailureKind, Result, Timestamp, WebhookDelivery, WebhookError, WebhookEvent,
};

/// Which deliveries; every field that is set must match.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// These deliveries, at most 1,000; `None` means any, and an empty list none at all.
    pub ids: Option<Vec<DeliveryId>>,
    /// Deliveries of this event.
    pub event_id: Option<EventId>,
    /// Deliveries to these endpoints, at most 1,000; `None` means any, and an empty list none at
    /// all: it is what keeps a tenant without endpoints from seeing what is not its own.
    pub endpoint_ids: Option<Vec<Arc<str>>>,
    /// Deliveries of events whose type passes.
    pub event_type: Option<EventFilter>,
    /// Deliveries of events sent for this tenant.
    pub tenant: Option<Arc<str>>,
    /// Deliveries in one of these states; empty means any.
    pub states: Vec<DeliveryState>,
    /// Dead letters with one of these reasons, and nothing else; empty means any delivery.
    pub dead_reasons: Vec<DeadReason>,
    /// Deliveries whose last attempt failed in one of these ways; empty means any.
    pub last_failures: Vec<FailureKind>,
    /// Deliveries whose last attempt got such a response.
    pub last_status: Option<StatusFilter>,
    /// Events sent at this time or later.
    pub from: Option<Timestamp>,
    /// Events sent before this time.
    pub to: Option<Timestamp>,
    /// Deliveries whose state last changed at this time or later.
    pub updated_from: Option<Timestamp>,
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
            ids: None,
            event_id: None,
            endpoint_ids: None,
            event_type: None,
            tenant: None,
            states: Vec::new(),
            dead_reasons: Vec::new(),
            last_failures: Vec::new(),
            last_status: None,
            from: None,
            to: None,
            updated_from: None,
            updated_before: None,
            before: None,
            limit: 100,
            with_attempts: false,
        }
    }
}

/// The most items of one page, and the most ids that a query names.
pub const MAX_PAGE: usize = 1_000;

impl DeliveryQuery {
    /// All deliveries of this event.
    #[must_use]
    pub fn of_event(id: EventId) -> Self {
        Self {
            event_id: Some(id),
            ..Self::default()
        }
    }

    /// All deliveries to this endpoint.
    #[must_use]
    pub fn of_endpoint(id: &str) -> Self {
        Self {
            endpoint_ids: Some(vec![id.into()]),
            ..Self::default()
        }
    }

    /// The delivery with this id.
    #[must_use]
    pub fn of_delivery(id: DeliveryId) -> Self {
        Self {
            ids: Some(vec![id]),
            ..Self::default()
        }
    }

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
        check_ids("ids", self.ids.as_deref())?;
        let ids = self.endpoint_ids.as_deref();
        check_ids("endpoint_ids", ids)?;
        let problem = ids
            .and_then(|ids| ids.iter().find_map(|id| id_problem("endpoint_ids", id)))
            .or_else(|| name_problem("tenant", self.tenant.as_deref()?));
        match problem {
            None => Ok(()),
            Some(problem) => Err(WebhookError::InvalidQuery(problem.into())),
        }
    }

    /// Whether a change of what matches means whole events: those without deliveries, too, and what is
    /// not made yet of those that have some.
    #[must_use]
    pub fn is_of_events(&self) -> bool {
        self.ids.is_none()
            && self.endpoint_ids.is_none()
            && self.states.is_empty()
            && self.dead_reasons.is_empty()
            && self.last_failures.is_empty()
            && self.last_status.is_none()
    }

    /// Whether an event as such matches, for a change of [whole events](Self::is_of_events): it was
    /// last changed when it was sent.
    #[must_use]
    pub fn is_of_event(&self, event: &WebhookEvent) -> bool {
        self.is_of_events()
            && self.event_id.is_none_or(|id| id == event.id)
            && (self.event_type.as_ref()).is_none_or(|of| of.matches(&event.event_type))
            && (self.tenant.as_deref()).is_none_or(|of| Some(of) == event.tenant.as_deref())
            && self.from.is_none_or(|from| from <= event.created_at)
            && self.to.is_none_or(|to| event.created_at < to)
            && self.updated_from.is_none_or(|at| at <= event.created_at)
            && self.updated_before.is_none_or(|at| event.created_at < at)
    }

    /// Whether a delivery matches, its place in the listing and attempts aside.
    #[must_use]
    pub fn matches(&self, record: &DeliveryRecord) -> bool {
        let (delivery, event) = (&record.delivery, &record.delivery.event);
        let updated_at = record.updated_at;
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&delivery.id))
            && self.event_id.is_none_or(|id| id == event.id)
            && (self.endpoint_ids.as_ref()).is_none_or(|ids| ids.contains(&delivery.endpoint_id))
            && (self.event_type.as_ref()).is_none_or(|of| of.matches(&event.event_type))
            && (self.tenant.as_deref()).is_none_or(|of| Some(of) == event.tenant.as_deref())
            && (self.states.is_empty() || self.states.contains(&record.state))
            && is_one_of(&self.dead_reasons, record.dead_reason)
            && is_one_of(&self.last_failures, record.last_failure)
            && (self.last_status)
                .is_none_or(|of| of.matches(record.last_status, record.last_failure))
            && self.from.is_none_or(|from| from <= event.created_at)
            && self.to.is_none_or(|to| event.created_at < to)
            && self.updated_from.is_none_or(|from| from <= updated_at)
            && self.updated_before.is_none_or(|before| updated_at < before)
    }
}

/// Whether it is one of these, or any will do.
fn is_one_of<T: PartialEq>(wanted: &[T], got: Option<T>) -> bool {
    wanted.is_empty() || got.is_some_and(|got| wanted.contains(&got))
}

/// Checks how many ids are named.
pub(super) fn check_ids<T>(field: &str, ids: Option<&[T]>) -> Result<()> {
    let count = ids.map_or(0, <[T]>::len);
    if count <= MAX_PAGE {
        return Ok(());
    }
    let text = format!("{field} has {count} ids, it needs 0 to {MAX_PAGE}");
    Err(WebhookError::InvalidQuery(text.into()))
}

/// Checks how many items are asked for at a time.
pub(super) fn check_page(limit: usize) -> Result<()> {
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
    /// The status of the response to its last attempt that was settled, if one came.
    pub last_status: Option<u16>,
    /// Why its last attempt that was settled failed, if it did.
    pub last_failure: Option<FailureKind>,
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
            last_status: None,
            last_failure: None,
            attempts: Vec::new(),
        }
    }
}

/// Which responses to a last attempt, written `503`, `5xx` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusFilter {
    /// This status.
    Exact(u16),
    /// A status of this class, 1 to 5.
    Class(u8),
    /// None: the attempt failed before one came.
    NoResponse,
}

impl StatusFilter {
    /// Whether the last attempt with this status, failed in this way, matches.
    #[must_use]
    pub fn matches(self, status: Option<u16>, failure: Option<FailureKind>) -> bool {
        match self {
            Self::Exact(exact) => status == Some(exact),
            Self::Class(class) => status.is_some_and(|status| status / 100 == u16::from(class)),
            Self::NoResponse => status.is_none() && failure.is_some(),
        }
    }
}

impl fmt::Display for StatusFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::NoResponse => f.write_str("none"),
        }
    }
}

impl FromStr for StatusFilter {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::NoResponse);
        }
        let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
        let exact = text.parse().ok().map(Self::Exact);
        exact
            .filter(|_| text.len() == 3)
            .or_else(|| class.map(Self::Class))
            .filter(|filter| matches!(filter, Self::Exact(100..=999) | Self::Class(1..=5)))
            .ok_or_else(|| {
                let text = "last_status is not 100 to 999, 1xx to 5xx, or none";
                WebhookError::InvalidQuery(text.into())
            })
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Page<T, C = DeliveryId> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to pass as `before` for the next page, if there may be one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page with this on it, and where the next one begins.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<C>) -> Self {
        Self { items, next }
    }
}

/// A change of deliveries by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Dead ones become ready, as if sent now, with no attempt and no crash. One with an order goes to
    /// its end, unless it is what [holds](crate::OnDead::Hold) it. Not those of an
    /// endpoint that is deleted or of an earlier
    /// [incarnation](super::EndpointRecord::incarnation), nor those whose payload is erased.
    Replay,
    /// Ended ones, delivered and cancelled too, become ready as by [`Replay`](Self::Replay). They
    /// leave the count of those that ended as they did.
    Resend,
    /// Blocked, ready and scheduled ones become cancelled.
    Cancel,
    /// Ended ones are dropped; dead ones count as purged from then on.
    Purge,
    /// Payloads are dropped. Blocked, ready and scheduled ones become cancelled; leased ones do when they
    /// would wait again.
    Erase,
}

named!(Change, "change", {
    Replay => "replay",
    Resend => "resend",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_filter_survives_its_text() {
        for text in ["503", "100", "999", "1xx", "5xx", "none"] {
            assert_eq!(text.parse::<StatusFilter>().unwrap().to_string(), text);
        }
        for text in [
            "", "50", "5000", "099", "0xx", "6xx", "xx", "+50", "None", "50x",
        ] {
            assert!(text.parse::<StatusFilter>().is_err(), "{text}");
        }
        let none = StatusFilter::NoResponse;
        assert!(none.matches(None, Some(FailureKind::Timeout)) && !none.matches(None, None));
        assert!(StatusFilter::Class(5).matches(Some(503), None));
    }
}

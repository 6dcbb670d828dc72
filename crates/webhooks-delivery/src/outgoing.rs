//! What a caller sends, and what became of it.

use std::time::Duration;

use webhooks_core::storage::spi::{Enqueued, NewEvent};
use webhooks_core::{DeliveryId, EventId, Priority, Result, check_sending};

/// What is sent, besides the data.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The type of the event; none of the system's own, `webhook.batch` and `webhook.ping`.
    pub event_type: &'a str,
    /// For whom it is sent, if for anybody: 1 to 256 bytes without control characters.
    pub tenant: Option<&'a str>,
    /// Sends to this endpoint alone, whatever its filters say.
    pub endpoint_id: Option<&'a str>,
    /// How urgent it is.
    pub priority: Priority,
    /// How long it waits before its first attempt, at most 30 days.
    pub delay: Duration,
    /// The same key of the same tenant sends nothing again for 24 h; 1 to 256 bytes without
    /// control characters.
    pub idempotency_key: Option<&'a str>,
}

impl<'a> Outgoing<'a> {
    /// An event of this type, of normal priority, to all who take it.
    #[must_use]
    pub const fn new(event_type: &'a str) -> Self {
        Self {
            event_type,
            tenant: None,
            endpoint_id: None,
            priority: Priority::Normal,
            delay: Duration::ZERO,
            idempotency_key: None,
        }
    }

    /// Checks the bounds.
    pub(crate) fn check(&self) -> Result<()> {
        check_sending(self.tenant, self.idempotency_key, self.delay)
    }
}

/// What was sent: nothing, if no endpoint takes the event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The event, or the first one with the same idempotency key.
    pub event_id: EventId,
    /// Its deliveries.
    pub delivery_ids: Vec<DeliveryId>,
}

impl Sent {
    /// What the storage made of an event.
    pub(crate) fn new(event: &NewEvent, stored: Enqueued) -> Self {
        let event_id = event.event.id;
        match stored {
            Enqueued::Stored { missing, .. } => {
                let mut delivery_ids: Vec<_> = event.deliveries.iter().map(|d| d.id).collect();
                delivery_ids.retain(|id| !missing.contains(id));
                Self {
                    event_id,
                    delivery_ids,
                }
            }
            Enqueued::NoEndpoint => Self {
                event_id,
                delivery_ids: Vec::new(),
            },
            Enqueued::Duplicate {
                event_id,
                delivery_ids,
            } => Self {
                event_id,
                delivery_ids,
            },
        }
    }
}

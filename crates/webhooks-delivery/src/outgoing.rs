//! What a caller sends, and what became of it.

use std::time::Duration;

use webhooks_core::storage::{Enqueued, NewEvent};
use webhooks_core::{DeliveryId, EventId, Priority, Result, WebhookError};

/// The longest tenant and idempotency key, in bytes.
pub(crate) const MAX_KEY: usize = 256;
/// The longest delay: as long as waiting deliveries are kept by default.
const MAX_DELAY: Duration = Duration::from_secs(30 * 86_400);

/// What is sent, besides the data.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The type of the event; none of the system's own, `webhook.batch` and `webhook.ping`.
    pub event_type: &'a str,
    /// For whom it is sent, if for anybody: 1 to 256 bytes.
    pub tenant: Option<&'a str>,
    /// Sends to this endpoint alone, whatever its filters say.
    pub endpoint_id: Option<&'a str>,
    /// How urgent it is.
    pub priority: Priority,
    /// How long it waits before its first attempt, at most 30 days.
    pub delay: Duration,
    /// The same key of the same tenant sends nothing again for 24 h; 1 to 256 bytes.
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
        for (field, value) in [
            ("tenant", self.tenant),
            ("idempotency key", self.idempotency_key),
        ] {
            let length = value.map_or(1, str::len);
            if !(1..=MAX_KEY).contains(&length) {
                let text = format!("{field} has {length} bytes, it needs 1 to {MAX_KEY}");
                return Err(WebhookError::InvalidEvent(text.into()));
            }
            if value.is_some_and(|value| value.chars().any(char::is_control)) {
                let text = format!("{field} holds a control character");
                return Err(WebhookError::InvalidEvent(text.into()));
            }
        }
        if self.delay > MAX_DELAY {
            let text = format!(
                "delay is {} s, at most {}",
                self.delay.as_secs(),
                MAX_DELAY.as_secs()
            );
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        Ok(())
    }
}

/// What was sent: nothing, if no endpoint takes the event.
#[derive(Clone, Debug, PartialEq, Eq)]
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

//! What became of what a caller sent.
//!
//! The answer names deliveries that are stored, not requests that were made: what comes of them is
//! in the storage and told as a [`Notice`](crate::Notice).

use webhooks_core::storage::spi::{Enqueued, NewEvent};
use webhooks_core::{DeliveryId, EventId, Result, WebhookError};

/// What was sent: nothing, if no endpoint takes the event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The event, or the first one with the same idempotency key.
    /// The one of the envelope and of the header `X-Webhook-Id`.
    pub event_id: EventId,
    /// Its deliveries.
    ///
    /// Empty if no endpoint takes the event. Deliveries to endpoints that were deleted meanwhile
    /// are left out; those that are dead at once, because the backlog was full, are in it.
    pub delivery_ids: Vec<DeliveryId>,
    /// Those of them that went to the dead letters at once, because the endpoint's backlog is full.
    pub dead: Vec<DeliveryId>,
    /// The event was sent before under the same idempotency key; nothing was stored now.
    pub duplicate: bool,
}

impl Sent {
    /// Nothing was stored of this event yet.
    pub(crate) const fn nothing(event_id: EventId) -> Self {
        Self {
            event_id,
            delivery_ids: Vec::new(),
            dead: Vec::new(),
            duplicate: false,
        }
    }

    /// What the storage made of an event.
    pub(crate) fn new(event: &NewEvent, stored: Enqueued) -> Result<Self> {
        let mut sent = Self::nothing(event.event.id);
        match stored {
            Enqueued::Stored { missing, dead } => {
                let ids = event.deliveries.iter().map(|delivery| delivery.id);
                sent.delivery_ids = ids.filter(|id| !missing.contains(id)).collect();
                sent.dead = dead;
            }
            Enqueued::NoEndpoint => {}
            Enqueued::Duplicate {
                event_id,
                delivery_ids,
            } => {
                sent.delivery_ids = delivery_ids;
                (sent.event_id, sent.duplicate) = (event_id, true);
            }
            Enqueued::KeyReused => {
                let text = "it was used for other data, or another type or endpoint, within 24 h";
                return Err(WebhookError::IdempotencyKeyReused(text.into()));
            }
        }
        Ok(sent)
    }
}

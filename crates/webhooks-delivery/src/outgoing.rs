//! What became of what a caller sent.
//!
//! The answer names deliveries that are stored, not requests that were made: what comes of them is
//! in the storage and told as a [`Notice`](crate::Notice).

use webhooks_core::storage::spi::{Enqueued, NewEvent};
use webhooks_core::{DeliveryId, EventId};

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

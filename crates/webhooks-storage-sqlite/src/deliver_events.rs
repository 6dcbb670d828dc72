//! Further deliveries of events that are kept.

use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery};
use webhooks_core::{DeliveryId, Timestamp};

use crate::columns::uuid_at;
use crate::error::Result;
use crate::making::Making;
use crate::state::State;

/// A delivery of an event to an endpoint in one incarnation.
const OF_EVENT: &str = "SELECT id FROM webhook_queue INDEXED BY idx_webhook_queue_event \
    WHERE event = ?1 AND endpoint = ?2 AND incarnation = ?3 LIMIT 1";

impl State {
    /// Makes all deliveries of a call that can be made, one after the other, so that one that a call
    /// names twice is made once.
    pub(crate) fn deliver_events(
        &mut self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        deliveries
            .iter()
            .map(|d| self.deliver_event(d, now))
            .collect()
    }

    fn deliver_event(&mut self, d: &EventDelivery, now: Timestamp) -> Result<DeliveredEvent> {
        let Some(event) = self.event(d.event_id)? else {
            return Ok(DeliveredEvent::NoEvent);
        };
        if event.is_erased {
            return Ok(DeliveredEvent::Erased);
        }
        let Some(endpoint) = self.recipient(&d.delivery)? else {
            return Ok(DeliveredEvent::Missing);
        };
        let same = (event.seq, endpoint.seq, endpoint.incarnation);
        if let Some(id) = self.find(OF_EVENT, same, |row| uuid_at(row, 0))? {
            return Ok(DeliveredEvent::Exists(DeliveryId::from_uuid(id)));
        }
        // The id may be that of another delivery, which stays what it is.
        if self.has_row(&d.delivery)? {
            return Ok(DeliveredEvent::Exists(d.delivery.id));
        }
        let making = Making {
            delivery: &d.delivery,
            event: event.seq,
            endpoint,
            worker: None,
            priority: event.priority,
            max_retries: event.max_retries,
            // It competes as what is sent now does: what has waited so far goes first.
            sent_at: now,
            due_at: event.due_at.max(now),
        };
        self.make(&making, now)?;
        self.note_not_bare(event.seq)?;
        Ok(DeliveredEvent::Stored)
    }
}

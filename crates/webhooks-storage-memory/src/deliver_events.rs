//! Further deliveries of events that are kept.

use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery};
use webhooks_core::{DeliveryId, DeliveryState, Result, Timestamp};

use crate::making::Making;
use crate::state::State;

impl State {
    /// Makes all deliveries of a call that can be made, or none where that would be too many.
    pub(crate) fn deliver_events(
        &mut self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        let is_new = |d: &&EventDelivery| self.deliverable(d, now).is_ok();
        self.check_rows(deliveries.len(), || {
            deliveries.iter().filter(is_new).count()
        })?;
        // One after the other, so that one that a call names twice is made once.
        let answers = deliveries.iter().map(|d| self.deliver_event(d, now));
        Ok(answers.collect())
    }

    fn deliver_event(&mut self, d: &EventDelivery, now: Timestamp) -> DeliveredEvent {
        let making = match self.deliverable(d, now) {
            Ok(making) => making,
            Err(answer) => return answer,
        };
        let state = self.make(&making, now);
        self.note_bare(making.event);
        match state {
            Some(DeliveryState::Dead) => DeliveredEvent::Dead,
            _ => DeliveredEvent::Stored,
        }
    }

    /// What is to be made, or why nothing is.
    fn deliverable<'a>(
        &self,
        d: &'a EventDelivery,
        now: Timestamp,
    ) -> std::result::Result<Making<'a>, DeliveredEvent> {
        let handle = self.events_by_id.get(&d.event_id);
        let handle = *handle.ok_or(DeliveredEvent::NoEvent)?;
        let event = self.events.at(handle);
        if event.is_erased() {
            return Err(DeliveredEvent::Erased);
        }
        let endpoint = self.recipient(&d.delivery);
        let endpoint = endpoint.ok_or(DeliveredEvent::Missing)?;
        if let Some(id) = self.delivery_of(handle, endpoint) {
            return Err(DeliveredEvent::Exists(id));
        }
        // The id may be that of another delivery, which stays what it is.
        if self.by_id.contains_key(&d.delivery.id) {
            return Err(DeliveredEvent::Exists(d.delivery.id));
        }
        Ok(Making {
            delivery: &d.delivery,
            event: handle,
            endpoint,
            worker: None,
            priority: event.priority,
            // It competes as what is sent now does: what has waited so far goes first.
            sent_at: now,
            due_at: event.due_at.max(now),
        })
    }

    /// A delivery of an event to the endpoint as it is now.
    fn delivery_of(&self, event: u32, endpoint: u32) -> Option<DeliveryId> {
        let incarnation = self.endpoints.at(endpoint).incarnation;
        let rows = self.events.at(event).deliveries.of_endpoint(endpoint);
        rows.map(|handle| self.rows.at(handle))
            .find(|row| row.incarnation == incarnation)
            .map(|row| row.id)
    }
}

use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery, NewDelivery};
use webhooks_core::{DeliveryState, Timestamp};

use super::{Model, ModelEvent, ModelRow};

impl Model {
    /// Makes a delivery, as one that was sent then; nobody has it yet.
    pub(super) fn make(
        &mut self,
        event: &ModelEvent,
        delivery: &NewDelivery,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> &mut ModelRow {
        self.totals.enqueued += 1;
        let (id, place) = (&*delivery.endpoint_id, self.next_place());
        self.rows.push(ModelRow {
            id: delivery.id,
            event: event.id(),
            endpoint: id.into(),
            state: DeliveryState::Ready,
            incarnation: self.incarnation_of(id).unwrap(),
            order: delivery.order.clone(),
            place,
            last: (None, None),
            dead_reason: None,
            cancel_reason: None,
            attempts: 0,
            crashes: 0,
            erased: false,
            due_at: event.due_at,
            token: 0,
            worker: String::new(),
            sort_key: event.priority.sort_key(sent_at),
            priority: event.priority,
            sent_at,
            updated_at: now,
        });
        self.rows.last_mut().unwrap()
    }

    /// Makes one more delivery of an event, as if that was sent now.
    pub(crate) fn deliver(&mut self, one: &EventDelivery, now: Timestamp) -> DeliveredEvent {
        let mut events = self.events.iter();
        let Some(event) = events.find(|event| event.id() == one.event_id).cloned() else {
            return DeliveredEvent::NoEvent;
        };
        if event.erased {
            return DeliveredEvent::Erased;
        }
        let Some(incarnation) = self.incarnation_of(&one.delivery.endpoint_id) else {
            return DeliveredEvent::Missing;
        };
        let is_there = |row: &&ModelRow| {
            row.event == event.id()
                && *row.endpoint == *one.delivery.endpoint_id
                && row.incarnation == incarnation
        };
        // Any one, if there are several: which one is told is the storage's choice.
        if let Some(row) = self.rows.iter().find(is_there) {
            return DeliveredEvent::Exists(row.id);
        }
        let row = self.make(&event, &one.delivery, now, now);
        row.due_at = row.due_at.max(now);
        DeliveredEvent::Stored
    }
}

use std::sync::Arc;

use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{EventRecord, StateCounts};
use webhooks_core::{DeliveryState, Priority, Timestamp, WebhookEvent};

use crate::event_deliveries::EventDeliveries;

/// One event as it is kept, once for all of its deliveries.
#[derive(Debug)]
pub(crate) struct EventRow {
    /// With its payload, which is empty once it was erased.
    pub(crate) event: Arc<WebhookEvent>,
    pub(crate) due_at: Timestamp,
    pub(crate) max_retries: u32,
    pub(crate) priority: Priority,
    pub(crate) deliveries: EventDeliveries,
    /// How many of them were erased alone.
    pub(crate) erased_rows: usize,
    /// How many of them are in each state, in the order of [`DeliveryState::ALL`]. Counted along, so
    /// that a listing does not count through all deliveries of a thousand events.
    states: [u32; DeliveryState::ALL.len()],
    /// Its number among the [bare](crate::bare_events::BareEvents) ones; 0 if it is not bare.
    pub(crate) bare_since: u64,
}

impl EventRow {
    pub(crate) fn new(new: &NewEvent) -> Self {
        Self {
            event: Arc::clone(&new.event),
            due_at: new.due_at,
            max_retries: new.max_retries,
            priority: new.priority,
            deliveries: EventDeliveries::default(),
            erased_rows: 0,
            states: Default::default(),
            bare_since: 0,
        }
    }

    /// An erased event has no bytes; no other event has none, since an envelope is never empty.
    pub(crate) fn is_erased(&self) -> bool {
        self.event.payload.is_empty()
    }

    /// The event without its bytes.
    pub(crate) fn without_payload(&self) -> Arc<WebhookEvent> {
        Arc::new(WebhookEvent {
            payload: Default::default(),
            ..(*self.event).clone()
        })
    }

    /// How many deliveries are in this state, to be changed.
    pub(crate) fn count_of(&mut self, state: DeliveryState) -> Option<&mut u32> {
        self.states.get_mut(state as usize)
    }

    pub(crate) fn record(&self, with_payload: bool) -> EventRecord {
        let event = match with_payload {
            true => Arc::clone(&self.event),
            false => self.without_payload(),
        };
        let mut record = EventRecord::new(event);
        record.priority = self.priority;
        record.due_at = self.due_at;
        record.max_retries = self.max_retries;
        record.payload_bytes = self.event.payload.len();
        record.payload_erased = self.is_erased();
        let mut deliveries = StateCounts::default();
        for (state, count) in DeliveryState::ALL.iter().zip(self.states) {
            deliveries.add(*state, count.into());
        }
        record.deliveries = deliveries;
        record
    }
}

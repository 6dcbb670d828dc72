use std::collections::HashMap;
use std::sync::Arc;

use better_auth_webhooks::storage::spi::{FanOut, Fingerprint, Settled};
use better_auth_webhooks::storage::{Counts, EndpointRecord, EventRecord};
use better_auth_webhooks::{
    AttemptRecord, CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp,
    WorkerId,
};

use super::row::Row;

/// Everything the storage holds of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) endpoints: Vec<EndpointRecord>,
    /// Of the last change of any endpoint, and of the last one of a definition.
    pub(crate) revision: u64,
    pub(crate) definitions: u64,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) rows: Vec<Row>,
    /// The last place in an order that was given.
    pub(crate) places: u64,
    /// What was made and what has ended, by endpoint; never lowered by a sweep.
    pub(crate) totals: HashMap<Arc<str>, Counts>,
    pub(crate) log: Vec<AttemptRecord>,
    pub(crate) keys: Vec<Key>,
    pub(crate) workers: HashMap<WorkerId, Worker>,
    /// Those that are not done, each with when its last part was stored.
    pub(crate) fan_outs: Vec<(FanOut, Timestamp)>,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) key: Arc<str>,
    pub(crate) at: Timestamp,
    pub(crate) event_id: EventId,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) delivery_ids: Vec<DeliveryId>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    /// The last beat, or the first lease of one that has not beaten.
    pub(crate) seen_at: Timestamp,
    pub(crate) has_beaten: bool,
    pub(crate) given_up: bool,
}

impl Lists {
    pub(crate) fn endpoint(&mut self, id: &str) -> Option<&mut EndpointRecord> {
        self.endpoints
            .iter_mut()
            .find(|e| e.endpoint.id == id && !e.deleted)
    }

    pub(crate) fn total(&mut self, endpoint_id: &Arc<str>) -> &mut Counts {
        self.totals.entry(Arc::clone(endpoint_id)).or_default()
    }

    /// The total of those of this row's endpoint that ended as it did.
    pub(crate) fn total_of(&mut self, at: usize) -> Option<&mut u64> {
        let record = &self.rows.get(at)?.record;
        let (state, id) = (record.state, Arc::clone(&record.delivery.endpoint_id));
        let total = self.total(&id);
        match state {
            DeliveryState::Delivered => Some(&mut total.delivered),
            DeliveryState::Dead => Some(&mut total.dead),
            DeliveryState::Cancelled => Some(&mut total.cancelled),
            _ => None,
        }
    }

    /// Ends the row at this place of the list.
    pub(crate) fn end(&mut self, at: usize, state: DeliveryState, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(at) {
            row.record.state = state;
            row.record.updated_at = now;
        }
        if let Some(total) = self.total_of(at) {
            *total += 1;
        }
    }

    pub(crate) fn bury(&mut self, at: usize, reason: DeadReason, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(at) {
            row.record.dead_reason = Some(reason);
        }
        self.end(at, DeliveryState::Dead, now);
    }

    pub(crate) fn cancel(&mut self, at: usize, reason: CancelReason, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(at) {
            row.record.cancel_reason = Some(reason);
        }
        self.end(at, DeliveryState::Cancelled, now);
    }

    /// Cancels what waits for an endpoint.
    pub(crate) fn cancel_waiting(&mut self, id: &str, reason: CancelReason, now: Timestamp) {
        for at in self.places_of(|row| row.is_idle() && row.is_of(id)) {
            self.cancel(at, reason, now);
        }
    }

    /// Lets the row wait, unless it cannot be sent any more.
    pub(crate) fn wait_again(&mut self, at: usize, due_at: Timestamp, now: Timestamp) -> Settled {
        if let Some(reason) = self.stranded(at) {
            self.cancel(at, reason, now);
            return Settled::Cancelled;
        }
        if let Some(row) = self.rows.get_mut(at) {
            row.wait_until(due_at, now);
        }
        Settled::Applied
    }

    /// Why the row cannot wait for its endpoint any more, if it cannot.
    pub(crate) fn stranded(&mut self, at: usize) -> Option<CancelReason> {
        let row = self.rows.get(at)?;
        if row.is_erased() {
            return Some(CancelReason::Erased);
        }
        let delivery = &row.record.delivery;
        let (id, incarnation) = (delivery.endpoint_id.clone(), delivery.incarnation);
        match self.endpoint(&id) {
            None => Some(CancelReason::EndpointDeleted),
            Some(endpoint) if endpoint.incarnation != incarnation => {
                Some(CancelReason::EndpointReplaced)
            }
            Some(_) => None,
        }
    }

    /// Where the rows are that are so.
    pub(crate) fn places_of(&self, so: impl Fn(&Row) -> bool) -> Vec<usize> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| so(row)).map(|(at, _)| at).collect()
    }
}

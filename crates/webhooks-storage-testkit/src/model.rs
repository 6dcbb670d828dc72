mod changes;
mod claimable;
mod event;
mod events;
mod gates;
mod orders;
mod workers;

use std::collections::{BTreeMap, HashMap};

use webhooks_core::storage::spi::{
    Enqueued, Fingerprint, IDEMPOTENCY_WINDOW, NewEvent, SettleAs, Settled,
};
use webhooks_core::storage::{Counts, GateState};
use webhooks_core::{
    BatchConfig, CancelReason, DeadReason, DeliveryId, DeliveryOrder, DeliveryState, EventId,
    FailureKind, Timestamp, WebhookEndpoint,
};

pub(crate) use event::ModelEvent;

/// What a storage has to do, written as plainly as possible: a list of rows, looked through from
/// end to end.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) endpoints: BTreeMap<String, ModelEndpoint>,
    pub(crate) rows: Vec<ModelRow>,
    pub(crate) events: Vec<ModelEvent>,
    keys: HashMap<(Option<String>, String), ModelKey>,
    workers: HashMap<String, ModelWorker>,
    totals: Counts,
    incarnations: u64,
    places: u64,
}

#[derive(Debug)]
struct ModelKey {
    event: EventId,
    made: Vec<DeliveryId>,
    fingerprint: Option<Fingerprint>,
    at: Timestamp,
}

/// The status and the failure of an attempt.
pub(crate) type LastAttempt = (Option<u16>, Option<FailureKind>);

#[derive(Debug)]
pub(crate) struct ModelEndpoint {
    pub(crate) enabled: bool,
    pub(crate) deleted: bool,
    tenant: Option<String>,
    incarnation: u64,
    batch: Option<BatchConfig>,
    pub(crate) gate: GateState,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelRow {
    pub(crate) id: DeliveryId,
    pub(crate) event: EventId,
    pub(crate) endpoint: String,
    /// Ready and scheduled are told apart by `due_at` alone, and stand here as ready. So do blocked
    /// ones: [`Model::is_blocked`] finds out.
    pub(crate) state: DeliveryState,
    pub(crate) incarnation: u64,
    pub(crate) order: Option<DeliveryOrder>,
    /// Where it stands in its order. Those that were replayed in one call share a place, until the
    /// storage has shown which one goes first.
    pub(crate) place: u64,
    pub(crate) last: LastAttempt,
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) erased: bool,
    pub(crate) due_at: Timestamp,
    pub(crate) token: u64,
    pub(crate) worker: String,
    pub(crate) sort_key: i64,
    priority: webhooks_core::Priority,
    sent_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug)]
struct ModelWorker {
    beat_at: Timestamp,
    given_up: bool,
}

impl ModelEndpoint {
    fn is_open(&self) -> bool {
        self.enabled && !self.deleted && !self.gate.paused
    }
}

impl Model {
    /// Saves a definition; whether a new incarnation begins.
    pub(crate) fn save(&mut self, saved: &WebhookEndpoint, now: Timestamp) -> bool {
        let id = &saved.id;
        let known = self.endpoints.get(id).filter(|e| !e.deleted);
        if known.is_none_or(|e| e.tenant != saved.tenant) {
            self.incarnations += 1;
            self.cancel_waiting(id, CancelReason::EndpointReplaced, now);
        }
        let known = self.endpoints.remove(id).filter(|e| !e.deleted);
        let stays = known.as_ref().filter(|e| e.tenant == saved.tenant);
        let incarnation = stays.map_or(self.incarnations, |e| e.incarnation);
        let is_new = stays.is_none();
        let mut gate = known.map(|e| e.gate).unwrap_or_default();
        if saved.enabled {
            gate.disabled = None;
        }
        let endpoint = ModelEndpoint {
            enabled: saved.enabled,
            deleted: false,
            tenant: saved.tenant.clone(),
            incarnation,
            batch: saved.batch,
            gate,
        };
        self.endpoints.insert(id.clone(), endpoint);
        is_new
    }

    pub(crate) fn tenant(&self, id: &str) -> Option<String> {
        self.endpoints.get(id)?.tenant.clone()
    }

    pub(crate) fn delete(&mut self, id: &str, now: Timestamp) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(id).filter(|e| !e.deleted) else {
            return false;
        };
        endpoint.deleted = true;
        self.cancel_waiting(id, CancelReason::EndpointDeleted, now);
        true
    }

    fn cancel_waiting(&mut self, id: &str, reason: CancelReason, now: Timestamp) {
        for row in 0..self.rows.len() {
            if self.rows[row].endpoint == id && self.rows[row].state == DeliveryState::Ready {
                self.cancel(row, reason, now);
            }
        }
    }

    pub(crate) fn enqueue(&mut self, new: &NewEvent, worker: &str, now: Timestamp) -> Enqueued {
        let key = (
            new.event.tenant.as_deref().map(str::to_owned),
            new.idempotency_key
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
        );
        if let Some(known) = self.keys.get(&key)
            && now.since(known.at) < IDEMPOTENCY_WINDOW
        {
            let both = known.fingerprint.as_ref().zip(new.fingerprint.as_ref());
            if both.is_some_and(|(known, new)| known != new) {
                return Enqueued::KeyReused;
            }
            return Enqueued::Duplicate {
                event_id: known.event,
                delivery_ids: known.made.clone(),
            };
        }
        let event = ModelEvent::of(new);
        let (mut made, mut missing) = (Vec::new(), Vec::new());
        for delivery in &new.deliveries {
            if self.incarnation_of(&delivery.endpoint_id).is_none() {
                missing.push(delivery.id);
                continue;
            }
            made.push(delivery.id);
            let sent_at = new.event.created_at;
            let row = self.make(&event, delivery, sent_at, now);
            if delivery.lease && delivery.order.is_none() {
                (row.state, row.token) = (DeliveryState::Leased, 1);
                row.worker = worker.into();
            }
        }
        if new.keep || !made.is_empty() {
            self.events.push(event);
        }
        if !key.1.is_empty() {
            let key_of = ModelKey {
                event: new.event.id,
                made: made.clone(),
                fingerprint: new.fingerprint,
                at: now,
            };
            self.keys.insert(key, key_of);
        }
        if made.is_empty() {
            return Enqueued::NoEndpoint;
        }
        let dead = Vec::new();
        Enqueued::Stored { missing, dead }
    }

    /// Which endpoint has this id, if one has.
    fn incarnation_of(&self, endpoint: &str) -> Option<u64> {
        let known = self.endpoints.get(endpoint).filter(|e| !e.deleted);
        known.map(|e| e.incarnation)
    }

    pub(crate) fn lease(&mut self, id: DeliveryId, worker: &str, token: u64) -> &ModelRow {
        let row = self.rows.iter().find(|row| row.id == id).unwrap();
        // What orders are for: no later one is on its way while an earlier one is open.
        assert!(!self.is_blocked(row), "{id} is claimed out of its order");
        let row = self.rows.iter_mut().find(|row| row.id == id).unwrap();
        assert!(token > row.token, "the token of {id} grows");
        row.token = token;
        row.state = DeliveryState::Leased;
        row.worker = worker.into();
        row
    }

    pub(crate) fn settle(
        &mut self,
        row: usize,
        settle_as: SettleAs,
        attempt: Option<LastAttempt>,
        now: Timestamp,
    ) -> Settled {
        if let Some(last) = attempt {
            self.rows[row].attempts += 1;
            self.rows[row].last = last;
        }
        match settle_as {
            SettleAs::Delivered => self.end(row, DeliveryState::Delivered, now),
            SettleAs::Dead { reason } => self.bury(row, reason, now),
            SettleAs::Cancelled { reason } => self.cancel(row, reason, now),
            SettleAs::Retry { at } | SettleAs::Release { at } => {
                if let Some(reason) = self.stranded(row) {
                    self.cancel(row, reason, now);
                    return Settled::Cancelled;
                }
                self.rows[row].state = DeliveryState::Ready;
                self.rows[row].due_at = at;
            }
        }
        Settled::Applied
    }

    /// The counts, with everything that is not leased and waits as ready.
    pub(crate) fn counts(&self, endpoint: Option<&str>) -> Counts {
        let mut counts = self.totals;
        for row in &self.rows {
            if endpoint.is_some_and(|id| id != row.endpoint) {
                continue;
            }
            let closed = self
                .endpoints
                .get(&row.endpoint)
                .is_none_or(|e| !e.is_open());
            match row.state {
                DeliveryState::Leased => counts.leased += 1,
                DeliveryState::Ready => {
                    match self.is_blocked(row) {
                        true => counts.blocked += 1,
                        false => counts.ready += 1,
                    }
                    counts.suspended += u64::from(closed);
                }
                _ => {}
            }
        }
        counts
    }

    /// Why a row cannot wait for its endpoint any more, if it cannot.
    fn stranded(&self, row: usize) -> Option<CancelReason> {
        let row = &self.rows[row];
        match self.incarnation_of(&row.endpoint) {
            _ if row.erased => Some(CancelReason::Erased),
            None => Some(CancelReason::EndpointDeleted),
            Some(incarnation) if incarnation != row.incarnation => {
                Some(CancelReason::EndpointReplaced)
            }
            Some(_) => None,
        }
    }

    fn cancel(&mut self, row: usize, reason: CancelReason, now: Timestamp) {
        self.rows[row].cancel_reason = Some(reason);
        self.end(row, DeliveryState::Cancelled, now);
    }

    fn bury(&mut self, row: usize, reason: DeadReason, now: Timestamp) {
        self.rows[row].dead_reason = Some(reason);
        self.end(row, DeliveryState::Dead, now);
    }

    fn end(&mut self, row: usize, state: DeliveryState, now: Timestamp) {
        match state {
            DeliveryState::Delivered => self.totals.delivered += 1,
            DeliveryState::Dead => self.totals.dead += 1,
            _ => self.totals.cancelled += 1,
        }
        self.rows[row].state = state;
        self.rows[row].updated_at = now;
    }
}

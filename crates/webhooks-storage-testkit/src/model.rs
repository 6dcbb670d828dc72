mod claimable;
mod gates;
mod workers;

use std::collections::{BTreeMap, HashMap};

use webhooks_core::storage::spi::{Enqueued, IDEMPOTENCY_WINDOW, NewEvent, SettleAs, Settled};
use webhooks_core::storage::{Change, Counts, GateState, Retention};
use webhooks_core::{
    BatchConfig, CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp,
    WebhookEndpoint,
};

/// What a storage has to do, written as plainly as possible: a list of rows, looked through from
/// end to end.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) endpoints: BTreeMap<String, ModelEndpoint>,
    pub(crate) rows: Vec<ModelRow>,
    keys: HashMap<String, (EventId, Vec<DeliveryId>, Timestamp)>,
    workers: HashMap<String, ModelWorker>,
    totals: Counts,
    incarnations: u64,
}

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
    pub(crate) endpoint: String,
    /// Ready and scheduled are told apart by `due_at` alone, and stand here as ready.
    pub(crate) state: DeliveryState,
    incarnation: u64,
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
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        if let Some((event_id, ids, at)) = self.keys.get(key)
            && now.since(*at) < IDEMPOTENCY_WINDOW
        {
            return Enqueued::Duplicate {
                event_id: *event_id,
                delivery_ids: ids.clone(),
            };
        }
        let (mut made, mut missing) = (Vec::new(), Vec::new());
        for delivery in &new.deliveries {
            let known = self.endpoints.get(&*delivery.endpoint_id);
            let Some(known) = known.filter(|e| !e.deleted) else {
                missing.push(delivery.id);
                continue;
            };
            made.push(delivery.id);
            self.totals.enqueued += 1;
            self.rows.push(ModelRow {
                id: delivery.id,
                endpoint: (*delivery.endpoint_id).into(),
                state: if delivery.lease {
                    DeliveryState::Leased
                } else {
                    DeliveryState::Ready
                },
                incarnation: known.incarnation,
                dead_reason: None,
                cancel_reason: None,
                attempts: 0,
                crashes: 0,
                erased: false,
                due_at: new.due_at,
                token: u64::from(delivery.lease),
                worker: worker.into(),
                sort_key: new.priority.sort_key(new.event.created_at),
                priority: new.priority,
                sent_at: new.event.created_at,
                updated_at: now,
            });
        }
        if !key.is_empty() {
            self.keys
                .insert(key.into(), (new.event.id, made.clone(), now));
        }
        if made.is_empty() {
            return Enqueued::NoEndpoint;
        }
        let dead = Vec::new();
        Enqueued::Stored { missing, dead }
    }

    pub(crate) fn lease(&mut self, id: DeliveryId, worker: &str, token: u64) -> &ModelRow {
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
        counted: bool,
        now: Timestamp,
    ) -> Settled {
        self.rows[row].attempts += u32::from(counted);
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

    pub(crate) fn change(&mut self, endpoint: Option<&str>, to: Change, now: Timestamp) -> usize {
        let mut changed = 0;
        for row in (0..self.rows.len()).rev() {
            let current = &self.rows[row];
            if endpoint.is_some_and(|id| id != current.endpoint) {
                continue;
            }
            let (state, can_wait) = (current.state, self.stranded(row).is_none());
            match to {
                Change::Replay if state == DeliveryState::Dead && can_wait => {
                    self.totals.dead -= 1;
                    self.replay(row, now);
                }
                Change::Cancel if state == DeliveryState::Ready => {
                    self.cancel(row, CancelReason::ByHand, now);
                }
                Change::Purge if state.is_ended() => {
                    if state == DeliveryState::Dead {
                        self.totals.dead -= 1;
                        self.totals.purged += 1;
                    }
                    self.rows.remove(row);
                }
                Change::Erase if !self.rows[row].erased => {
                    self.rows[row].erased = true;
                    if state == DeliveryState::Ready {
                        self.cancel(row, CancelReason::Erased, now);
                    }
                }
                _ => continue,
            }
            changed += 1;
        }
        changed
    }

    pub(crate) fn sweep(&mut self, retention: &Retention, now: Timestamp) {
        for row in 0..self.rows.len() {
            let waits = &self.rows[row];
            let since = waits.sent_at.max(waits.due_at);
            if waits.state == DeliveryState::Ready && now.since(since) >= retention.waiting {
                self.bury(row, DeadReason::Expired, now);
            }
        }
        self.rows.retain(|row| {
            let age = now.since(row.updated_at);
            match row.state {
                DeliveryState::Delivered | DeliveryState::Cancelled => age < retention.delivered,
                DeliveryState::Dead => age < retention.dead,
                _ => true,
            }
        });
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
                    counts.ready += 1;
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
        let endpoint = self.endpoints.get(&row.endpoint).filter(|e| !e.deleted);
        match endpoint {
            _ if row.erased => Some(CancelReason::Erased),
            None => Some(CancelReason::EndpointDeleted),
            Some(endpoint) if endpoint.incarnation != row.incarnation => {
                Some(CancelReason::EndpointReplaced)
            }
            Some(_) => None,
        }
    }

    fn cancel(&mut self, row: usize, reason: CancelReason, now: Timestamp) {
        self.rows[row].cancel_reason = Some(reason);
        self.end(row, DeliveryState::Cancelled, now);
    }

    fn replay(&mut self, row: usize, now: Timestamp) {
        let row = &mut self.rows[row];
        row.state = DeliveryState::Ready;
        (row.attempts, row.crashes, row.dead_reason) = (0, 0, None);
        (row.due_at, row.sent_at, row.updated_at) = (now, now, now);
        row.sort_key = row.priority.sort_key(now);
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

//! The storage contract as a program that can be checked by reading it. No indexes, no order of its
//! own, no concurrency: what is easy to get wrong in a storage is not there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use webhooks_core::storage::Retention;
use webhooks_core::storage::spi::{Enqueued, GateChange, NewEvent, Settled};
use webhooks_core::storage::spi::{
    IDEMPOTENCY_WINDOW, POISON_CRASHES, POISON_SUSPECT_CRASHES, SettleAs, WORKER_DEAD_AFTER,
};
use webhooks_core::storage::{Change, Counts, DisabledBy};
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp, WebhookEndpoint,
};

use crate::claimable::Claimable;
use crate::model_rows::{ModelEndpoint, ModelRow, ModelWorker};

/// What a storage has to do, written as plainly as possible: a list of rows, looked through from
/// end to end.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By id, tombstones too.
    pub(crate) endpoints: BTreeMap<String, ModelEndpoint>,
    /// In the order of making, ended rows too until they are swept or purged.
    pub(crate) rows: Vec<ModelRow>,
    /// By key: the first event, what it made, and when.
    keys: HashMap<String, (EventId, Vec<DeliveryId>, Timestamp)>,
    /// By name, from the first beat on.
    workers: HashMap<String, ModelWorker>,
    /// What only grows, and the dead; gauges are counted from the rows.
    totals: Counts,
    /// How many incarnations of endpoints there were.
    incarnations: u64,
}

impl Model {
    /// Saves a definition; whether a new incarnation begins.
    pub(crate) fn save(&mut self, saved: &WebhookEndpoint, now: Timestamp) -> bool {
        let id = &saved.id;
        let known = self.endpoints.get(id).filter(|e| !e.deleted);
        if known.is_none_or(|e| e.tenant != saved.tenant) {
            // Another owner, or none before: what waits was made for somebody else.
            self.incarnations += 1;
            // Cancelled before the new definition is there, as no claim may find them in between.
            self.cancel_waiting(id, CancelReason::EndpointReplaced, now);
        }
        // A tombstone leaves nothing to the endpoint that follows.
        let known = self.endpoints.remove(id).filter(|e| !e.deleted);
        let stays = known.as_ref().filter(|e| e.tenant == saved.tenant);
        let incarnation = stays.map_or(self.incarnations, |e| e.incarnation);
        let is_new = stays.is_none();
        let mut gate = known.map(|e| e.gate).unwrap_or_default();
        // Being saved as enabled lifts a disabling of any kind.
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

    /// Cancels what is ready or scheduled of an endpoint.
    fn cancel_waiting(&mut self, id: &str, reason: CancelReason, now: Timestamp) {
        for row in 0..self.rows.len() {
            if self.rows[row].endpoint == id && self.rows[row].state == DeliveryState::Ready {
                self.cancel(row, reason, now);
            }
        }
    }

    /// Changes a gate, by what was decided so many epochs ago.
    pub(crate) fn gate(&mut self, id: &str, change: GateChange, epochs_ago: u64) {
        let endpoint = self.endpoints.get_mut(id).filter(|e| !e.deleted);
        // The model's epochs are relative: what names an earlier one is void, unless there was none
        // before the first.
        let Some(endpoint) = endpoint.filter(|e| e.gate.epoch == 0 || epochs_ago == 0) else {
            return;
        };
        let gate = &mut endpoint.gate;
        let is_by_responses = gate.disabled.is_some_and(DisabledBy::is_by_responses);
        let is_off_by_hand = !endpoint.enabled && !is_by_responses;
        match change {
            GateChange::Pause => gate.paused = true,
            GateChange::Resume => (gate.paused, gate.held_until) = (false, None),
            GateChange::Disable(by) if by.is_by_responses() && is_off_by_hand => {}
            GateChange::Disable(by) => {
                endpoint.enabled = false;
                if gate.disabled != Some(DisabledBy::Unverified) {
                    gate.disabled = Some(by);
                }
            }
            // Only a save as enabled lifts this one.
            GateChange::Enable if gate.disabled == Some(DisabledBy::Unverified) => {}
            GateChange::Enable => {
                endpoint.enabled = true;
                let paused = gate.paused;
                *gate = gate.anew();
                gate.paused = paused;
            }
            GateChange::Reset => {
                // A reset leaves what was decided by hand.
                gate.epoch += 1;
                (gate.held_until, gate.max_leased, gate.failing_since) = (None, None, None);
            }
            GateChange::Hold { until } => gate.held_until = gate.held_until.max(Some(until)),
            GateChange::LimitLeased(most) => gate.max_leased = most,
            GateChange::FailingSince(at) => {
                gate.failing_since = gate.failing_since.or(Some(at));
            }
            GateChange::Recovered => gate.failing_since = None,
        }
    }

    /// Stores one event. Backlogs are not bounded here, since sequences are short.
    pub(crate) fn enqueue(&mut self, new: &NewEvent, worker: &str, now: Timestamp) -> Enqueued {
        // Keys are compared alone: all events of a sequence are of no tenant.
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        // Before anything is made: a duplicate makes nothing.
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
            // The key is kept also when nothing was made.
            self.keys
                .insert(key.into(), (new.event.id, made.clone(), now));
        }
        if made.is_empty() {
            return Enqueued::NoEndpoint;
        }
        let dead = Vec::new();
        Enqueued::Stored { missing, dead }
    }

    /// What a claim has to return of each endpoint that has something.
    pub(crate) fn claimable(
        &self,
        per_endpoint: usize,
        suspects: bool,
        now: Timestamp,
    ) -> BTreeMap<String, Claimable> {
        let mut found = BTreeMap::new();
        for (id, endpoint) in &self.endpoints {
            // Closed, deleted or held: nothing of it may come.
            if !endpoint.is_open() || endpoint.gate.held_until.is_some_and(|until| until > now) {
                continue;
            }
            let of_endpoint = || self.rows.iter().filter(|row| row.endpoint == *id);
            // What all workers hold, since the gate's limit is of the endpoint.
            let leased = of_endpoint().filter(|r| r.state == DeliveryState::Leased);
            let most = endpoint.gate.max_leased.map_or(usize::MAX, |n| n as usize);
            let leases = most.saturating_sub(leased.count());
            let batch = endpoint.batch.map_or(1, |batch| batch.max_events as usize);
            let is_ready = |row: &&ModelRow| row.state == DeliveryState::Ready && row.due_at <= now;
            let mut ready: Vec<_> = of_endpoint().filter(is_ready).collect();
            // Equal keys may come in either order, and are compared as keys alone.
            ready.sort_by_key(|row| row.sort_key);
            let (suspect, sound): (Vec<_>, Vec<_>) = ready
                .into_iter()
                .partition(|row| row.crashes >= POISON_SUSPECT_CRASHES);
            // By due time, the least of which began the wait, and not by sort key.
            let since = sound.iter().map(|row| row.due_at).min();
            let wait = endpoint.batch.map_or(0, |batch| batch.max_wait_ms);
            let is_over = since.is_some_and(|at| now.since(at) >= Duration::from_millis(wait));
            let keys = |rows: Vec<&ModelRow>| rows.iter().map(|row| row.sort_key).collect();
            let claimable = Claimable {
                room: leases.min(per_endpoint.saturating_mul(batch)),
                batch,
                is_over,
                sound: keys(sound),
                suspects: keys(if suspects { suspect } else { Vec::new() }),
                ..Claimable::default()
            };
            found.insert(id.clone(), claimable.bounded());
        }
        found.retain(|_, of| of.most > 0);
        found
    }

    /// Notes that the storage has leased this delivery, which it may; checks only what must hold
    /// for each lease.
    pub(crate) fn lease(&mut self, id: DeliveryId, worker: &str, token: u64) -> &ModelRow {
        let row = self.rows.iter_mut().find(|row| row.id == id).unwrap();
        // Over releases, rescues and replays alike.
        assert!(token > row.token, "the token of {id} grows");
        row.token = token;
        row.state = DeliveryState::Leased;
        row.worker = worker.into();
        row
    }

    /// Settles a row that its worker holds, and so never stale.
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

    /// How many were rescued, and whether the worker had been given up, if the storage has to know:
    /// it may forget a worker after a day.
    ///
    /// The order is that of the contract: the worker's own state is judged first, then others are.
    pub(crate) fn beat(&mut self, worker: &str, now: Timestamp) -> (usize, Option<bool>) {
        let silent = |w: &ModelWorker| now.since(w.beat_at) >= WORKER_DEAD_AFTER;
        let before = self.workers.get(worker);
        // Judged by the beat before this one.
        let in_a_row = before.is_some_and(|w| !w.given_up && !silent(w));
        // A storage may have forgotten who was silent for a day, and then answers as to a new
        // worker.
        let is_known = before.is_none_or(|w| now.since(w.beat_at) < IDEMPOTENCY_WINDOW);
        let lost = is_known.then(|| before.is_some_and(|w| w.given_up));
        let alive = ModelWorker {
            beat_at: now,
            given_up: false,
        };
        self.workers.insert(worker.into(), alive);
        if !in_a_row {
            return (0, lost);
        }
        let mut rescued = 0;
        for (name, worker) in &mut self.workers {
            if !silent(worker) {
                continue;
            }
            worker.given_up = true;
            for row in &mut self.rows {
                if row.state == DeliveryState::Leased && row.worker == *name {
                    row.crashes += 1;
                    row.state = DeliveryState::Ready;
                    // A lease may have been given before the due time, with the event itself.
                    row.due_at = row.due_at.min(now);
                    // Marked by its holder's name until it is judged below.
                    row.worker = String::new();
                    rescued += 1;
                }
            }
        }
        // Judged after all were taken back. A ready row that was not among them was judged when it
        // became one, so asking it again changes nothing.
        for row in 0..self.rows.len() {
            let freed = self.rows[row].state == DeliveryState::Ready;
            if !freed {
                continue;
            }
            if let Some(reason) = self.stranded(row) {
                self.cancel(row, reason, now);
            } else if self.rows[row].crashes >= POISON_CRASHES {
                self.bury(row, DeadReason::Poison, now);
            }
        }
        (rescued, lost)
    }

    /// Whether the worker may claim: it has beaten lately.
    pub(crate) fn is_alive(&self, worker: &str, now: Timestamp) -> bool {
        let alive = |w: &ModelWorker| now.since(w.beat_at) < WORKER_DEAD_AFTER;
        self.workers.get(worker).is_some_and(alive)
    }

    /// Makes a change of all rows, or of those of one endpoint; how many it applied to. From
    /// behind, so that a purge moves no row that is still to come.
    pub(crate) fn change(&mut self, endpoint: Option<&str>, to: Change, now: Timestamp) -> usize {
        let mut changed = 0;
        for row in (0..self.rows.len()).rev() {
            let current = &self.rows[row];
            if endpoint.is_some_and(|id| id != current.endpoint) {
                continue;
            }
            let (state, can_wait) = (current.state, self.stranded(row).is_none());
            match to {
                // Nothing that was replaced, deleted or erased can be replayed.
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
                // In every state; what waits ends with it.
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

    /// Sweeps all that has its age, of waiting, ended and dead rows. The log is not modelled.
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
            // An endpoint that is gone suspends nothing: what waited for it was cancelled.
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

    /// Ends a row as cancelled.
    fn cancel(&mut self, row: usize, reason: CancelReason, now: Timestamp) {
        self.rows[row].cancel_reason = Some(reason);
        self.end(row, DeliveryState::Cancelled, now);
    }

    /// Makes a dead row wait again as if it had been sent now.
    fn replay(&mut self, row: usize, now: Timestamp) {
        let row = &mut self.rows[row];
        row.state = DeliveryState::Ready;
        (row.attempts, row.crashes, row.dead_reason) = (0, 0, None);
        (row.due_at, row.sent_at, row.updated_at) = (now, now, now);
        row.sort_key = row.priority.sort_key(now);
    }

    /// Ends a row as dead.
    fn bury(&mut self, row: usize, reason: DeadReason, now: Timestamp) {
        self.rows[row].dead_reason = Some(reason);
        self.end(row, DeliveryState::Dead, now);
    }

    /// Ends a row and counts it in its total.
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

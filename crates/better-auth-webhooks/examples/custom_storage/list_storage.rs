use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use better_auth_webhooks::storage::{
    Beat, Change, Claim, Claimed, Counts, DeliveryQuery, DeliveryRecord, DisabledBy,
    EndpointChanges, EndpointGate, EndpointRecord, Enqueued, GateChange, GateState, NewEvent, Page,
    Retention, Settled, Settlement, Swept, WebhookStorage,
};
use better_auth_webhooks::{
    DeliveryState, KeptEndpoint, Result, Timestamp, WebhookEndpoint, WorkerId,
};

use crate::leases::is_silent;
use crate::lists::{Lists, Worker};
use crate::row::Row;

/// Keeps everything in lists.
#[derive(Debug)]
pub(crate) struct ListStorage {
    lists: Mutex<Lists>,
    started_at: Timestamp,
}

impl ListStorage {
    /// An empty storage.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            lists: Mutex::default(),
            started_at: wall_clock(),
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ListStorage {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl WebhookStorage for ListStorage {
    async fn save_endpoint(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        let mut lists = self.lists();
        let saved: Arc<KeptEndpoint> = endpoint.clone().into();
        if let Some(record) = lists.endpoint(&endpoint.id) {
            record.endpoint = saved;
            if endpoint.enabled {
                record.gate.disabled = None;
            }
        } else {
            // A tombstone of the same id goes, and its gate with it.
            lists.endpoints.retain(|e| e.endpoint.id != endpoint.id);
            lists.endpoints.push(EndpointRecord {
                endpoint: saved,
                gate: GateState::default(),
                revision: 0,
                deleted: false,
                unreadable: None,
            });
        }
        lists.touch(&endpoint.id);
        Ok(())
    }

    async fn get_endpoint(&self, id: &str) -> Result<Option<WebhookEndpoint>> {
        let mut lists = self.lists();
        Ok(lists
            .endpoint(id)
            .map(|record| WebhookEndpoint::clone(&record.endpoint)))
    }

    async fn delete_endpoint(&self, id: &str, now: Timestamp) -> Result<bool> {
        let mut lists = self.lists();
        let Some(record) = lists.endpoint(id) else {
            return Ok(false);
        };
        record.deleted = true;
        lists.touch(id);
        for place in lists.places(|row| row.is_idle() && *row.delivery.endpoint_id == *id) {
            lists.end(place, DeliveryState::Cancelled, now);
        }
        Ok(true)
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        let lists = self.lists();
        let later = lists.endpoints.iter().filter(|e| e.revision > revision);
        let mut records: Vec<_> = later.cloned().collect();
        records.sort_by_key(|record| record.revision);
        let more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().map_or(revision, |record| record.revision);
        Ok(EndpointChanges {
            records,
            revision: if more { last } else { lists.revision },
            more,
        })
    }

    async fn set_gates(&self, gates: &[EndpointGate], _now: Timestamp) -> Result<()> {
        let mut lists = self.lists();
        for gate in gates {
            if let Some(record) = lists.endpoint(&gate.endpoint_id) {
                change_gate(record, gate.change);
                lists.touch(&gate.endpoint_id);
            }
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>> {
        let mut lists = self.lists();
        let answers = events.iter().map(|new| lists.enqueue(new, worker, now));
        Ok(answers.collect())
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        Ok(self.lists().claim(claim))
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        let mut lists = self.lists();
        let answers = settlements.iter().map(|s| lists.settle(worker, s, now));
        Ok(answers.collect())
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let now = at.unwrap_or_else(wall_clock);
        let mut lists = self.lists();
        let mut beat = Beat {
            now,
            revision: lists.revision,
            ..Beat::default()
        };
        let Some(id) = worker else {
            return Ok(beat);
        };
        let alive = Worker {
            beat_at: now,
            given_up: false,
        };
        if let Some(before) = lists.workers.insert(id.clone(), alive) {
            beat.lost = before.given_up;
            if !before.given_up && !is_silent(&before, self.started_at, now) {
                beat.rescued = lists.rescue(self.started_at, now);
            }
        }
        Ok(beat)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let lists = self.lists();
        let found = lists.rows.iter().filter(|row| row.matches(query));
        let mut items: Vec<_> = found.map(Row::record).collect();
        items.sort_by_key(|record| std::cmp::Reverse(record.delivery.id));
        items.truncate(query.limit);
        for item in &mut items {
            let log = lists.log.iter().filter(|_| query.with_attempts);
            let own = log.filter(|line| line.delivery_id == item.delivery.id);
            item.attempts = own.cloned().collect();
        }
        let last = items.last().filter(|_| items.len() == query.limit);
        let next = last.map(|record| record.delivery.id);
        Ok(Page { items, next })
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<usize> {
        let mut lists = self.lists();
        let mut changed = 0;
        // From the end, so that a purge moves no row that is still to come.
        for place in lists.places(|row| row.matches(query)).into_iter().rev() {
            if changed < limit && lists.change(place, to, now) {
                changed += 1;
            }
        }
        Ok(changed)
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        Ok(self.lists().counts(endpoint_id))
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        Ok(self.lists().sweep(retention, limit, now))
    }
}

fn change_gate(record: &mut EndpointRecord, change: GateChange) {
    let enabled = &mut Arc::make_mut(&mut record.endpoint).enabled;
    let gate = &mut record.gate;
    match change {
        GateChange::Pause => gate.paused = true,
        GateChange::Resume => (gate.paused, gate.held_until) = (false, None),
        GateChange::Disable(by) => {
            *enabled = false;
            if gate.disabled != Some(DisabledBy::Unverified) {
                gate.disabled = Some(by);
            }
        }
        GateChange::Enable => {
            *enabled = true;
            let paused = gate.paused;
            *gate = GateState {
                paused,
                ..GateState::default()
            };
        }
        GateChange::Hold { until } => gate.held_until = gate.held_until.max(Some(until)),
        GateChange::LimitLeased(most) => gate.max_leased = most,
        GateChange::FailingSince(at) => gate.failing_since = gate.failing_since.or(Some(at)),
        GateChange::Recovered => gate.failing_since = None,
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the storage's clock")]
fn wall_clock() -> Timestamp {
    SystemTime::now().into()
}

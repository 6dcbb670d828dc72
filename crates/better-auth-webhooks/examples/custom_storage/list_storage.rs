use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use better_auth_webhooks::storage::{
    Beat, Change, Changed, Claim, Claimed, Counts, DeliveryQuery, DeliveryRecord, DisabledBy,
    EndpointChanges, EndpointGate, EndpointRecord, Enqueued, Expected, FanOut, FanOutPart,
    GateChange, GateState, HeldLease, NewEvent, Page, Retention, Saved, Settled, Settlement, Swept,
    WebhookStorage,
};
use better_auth_webhooks::{
    CancelReason, DeliveryId, Result, Timestamp, WebhookEndpoint, WorkerId,
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
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let mut lists = self.lists();
        let found = lists.endpoint(&endpoint.id).map(|record| record.clone());
        if !expected.is_met_by(found.as_ref().map(|record| record.definition_revision)) {
            return Ok(Saved::Conflict);
        }
        let revision = lists.revision + 1;
        let is_live = found.is_some();
        let stays = found.filter(|r| r.endpoint.tenant == endpoint.tenant);
        let known = lists
            .endpoints
            .iter()
            .find(|e| e.endpoint.id == endpoint.id);
        let gate = known.map(|record| match is_live {
            true => record.gate.clone(),
            false => GateState {
                epoch: record.gate.epoch,
                ..GateState::default()
            },
        });
        let is_known = gate.is_some();
        let mut gate = gate.unwrap_or_default();
        if endpoint.enabled {
            gate.disabled = None;
        }
        // What is decided by what an earlier incarnation answers is void.
        gate.epoch += u64::from(is_known && stays.is_none());
        let record = EndpointRecord {
            endpoint: endpoint.clone().into(),
            gate,
            revision,
            definition_revision: revision,
            incarnation: stays.as_ref().map_or(revision, |r| r.incarnation),
            deleted: false,
            unreadable: None,
        };
        // A tombstone of the same id goes too.
        lists.endpoints.retain(|e| e.endpoint.id != endpoint.id);
        lists.endpoints.push(record);
        lists.revision = revision;
        if stays.is_none() {
            lists.cancel_waiting(&endpoint.id, CancelReason::EndpointReplaced, wall_clock());
        }
        Ok(Saved::Stored(revision))
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let mut lists = self.lists();
        let revision = lists.revision + 1;
        let found = lists.endpoint(&endpoint.id);
        let Some(record) = found.filter(|r| r.definition_revision == expected) else {
            return Ok(Saved::Conflict);
        };
        let stored = Arc::make_mut(&mut record.endpoint);
        stored.secret.clone_from(&endpoint.secret);
        stored
            .previous_secrets
            .clone_from(&endpoint.previous_secrets);
        record.definition_revision = revision;
        lists.touch(&endpoint.id);
        Ok(Saved::Stored(revision))
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        Ok(self.lists().endpoint(id).cloned())
    }

    async fn delete_endpoint(&self, id: &str, now: Timestamp) -> Result<bool> {
        let mut lists = self.lists();
        let Some(record) = lists.endpoint(id) else {
            return Ok(false);
        };
        record.deleted = true;
        lists.touch(id);
        lists.cancel_waiting(id, CancelReason::EndpointDeleted, now);
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
            let is_void = |r: &&mut EndpointRecord| gate.epoch.is_some_and(|e| e < r.gate.epoch);
            let record = lists.endpoint(&gate.endpoint_id);
            if let Some(record) = record.filter(|record| !is_void(record)) {
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

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        Ok(self.lists().fan_out(part, now))
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        let lists = self.lists();
        let idle = lists.fan_outs.iter().filter(|(_, at)| *at <= idle_since);
        Ok(idle
            .take(limit)
            .map(|(fan_out, _)| fan_out.clone())
            .collect())
    }

    fn keeps_fan_outs(&self) -> bool {
        true
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        Ok(self.lists().claim(claim))
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        Ok(self.lists().leased_by(worker, after, limit))
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
            outbox: !lists.fan_outs.is_empty(),
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
            beat.before = Some(before.beat_at);
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
    ) -> Result<Changed> {
        let mut lists = self.lists();
        lists
            .fan_outs
            .retain(|(fan_out, _)| !FanOut::ends_with(&fan_out.event, query, to));
        let matching = lists.rows.iter().filter(|row| row.matches(query));
        let mut ids: Vec<_> = matching.map(|row| row.delivery.id).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(*id));
        let (mut changed, mut last) = (0, None);
        for id in ids {
            if changed == limit {
                return Ok(Changed::new(changed, last));
            }
            last = Some(id);
            let place = lists.rows.iter().position(|row| row.delivery.id == id);
            changed += usize::from(place.is_some_and(|place| lists.change(place, to, now)));
        }
        Ok(Changed::new(changed, None))
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
    let is_off_by_hand = !*enabled && !gate.disabled.is_some_and(DisabledBy::is_by_responses);
    match change {
        GateChange::Pause => gate.paused = true,
        GateChange::Resume => (gate.paused, gate.held_until) = (false, None),
        GateChange::Disable(by) if by.is_by_responses() && is_off_by_hand => {}
        GateChange::Disable(by) => {
            *enabled = false;
            if gate.disabled != Some(DisabledBy::Unverified) {
                gate.disabled = Some(by);
            }
        }
        GateChange::Enable if gate.disabled == Some(DisabledBy::Unverified) => {}
        GateChange::Enable => {
            *enabled = true;
            let paused = gate.paused;
            *gate = GateState {
                paused,
                ..gate.anew()
            };
        }
        GateChange::Reset => {
            *gate = GateState {
                paused: gate.paused,
                disabled: gate.disabled,
                ..gate.anew()
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

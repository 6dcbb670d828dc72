//! A storage of lists, written from `docs/storage-contract.md` alone.

mod changes;
mod documents;
mod endpoints;
mod filling;
mod leases;
mod listing;
mod lists;
mod numbers;
mod orders;
mod row;
mod sending;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use better_auth_webhooks::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, Settled, Settlement, StatDelta, Swept,
};
use better_auth_webhooks::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, DocumentStore, EndpointRecord,
    EventQuery, EventRecord, Expected, Page, Retention, Saved, StatBucket, StatQuery,
    WebhookStorage, WorkerRecord,
};
use better_auth_webhooks::{DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WorkerId};

use self::documents::Documents;
use self::lists::Lists;
use self::numbers::Numbers;

/// Keeps everything in lists.
#[derive(Debug)]
pub(crate) struct ListStorage {
    lists: Mutex<Lists>,
    documents: Documents,
    numbers: Mutex<Numbers>,
    started_at: Timestamp,
}

impl ListStorage {
    /// An empty storage.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            lists: Mutex::default(),
            documents: Documents::default(),
            numbers: Mutex::default(),
            started_at: wall_clock(),
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, whole or not at all, as nobody else looks meanwhile.
    fn change_lists<T>(&self, now: Timestamp, change: impl FnOnce(&mut Lists) -> T) -> T {
        let mut lists = self.lists();
        let answer = change(&mut lists);
        lists.let_heads_go(now);
        answer
    }
}

#[async_trait]
impl WebhookStorage for ListStorage {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let now = wall_clock();
        Ok(self.change_lists(now, |lists| lists.save(endpoint, expected, now)))
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let saved = self.lists().save_secrets(endpoint, expected, wall_clock());
        Ok(saved)
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        Ok(self.lists().endpoint(id).cloned())
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        Ok(self.change_lists(now, |lists| lists.delete(id, expected, now)))
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        Ok(self.lists().endpoints_since(revision, limit))
    }

    async fn set_gates(&self, gates: &[EndpointGate], _now: Timestamp) -> Result<()> {
        let mut lists = self.lists();
        for gate in gates {
            let record = lists.endpoint(&gate.endpoint_id);
            if let Some(record) = record.filter(|record| !gate.is_void(&record.gate)) {
                let enabled = &mut Arc::make_mut(&mut record.endpoint).enabled;
                if gate.change.apply(&mut record.gate, enabled) {
                    lists.touch(&gate.endpoint_id);
                }
            }
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        Ok(self.change_lists(now, |lists| {
            let answers = events.iter().map(|new| lists.enqueue(new, worker, now));
            Commit {
                answers: answers.collect(),
                definitions: lists.definitions,
            }
        }))
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        Ok(self.change_lists(now, |lists| {
            let answers = deliveries.iter().map(|d| lists.deliver_event(d, now));
            answers.collect()
        }))
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        Ok(self.change_lists(now, |lists| lists.fan_out(part, now)))
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
        Ok(self.change_lists(now, |lists| {
            let answers = settlements.iter().map(|s| lists.settle(worker, s, now));
            answers.collect()
        }))
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let now = at.unwrap_or_else(wall_clock);
        Ok(self.change_lists(now, |lists| lists.beat(worker, self.started_at, now)))
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        query.validate()?;
        Ok(self.lists().deliveries(query))
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        query.validate_filters()?;
        Ok(self.change_lists(now, |lists| lists.change(query, to, limit, now)))
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        query.validate()?;
        Ok(self.lists().list_events(query))
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        Ok(self.lists().counts(endpoint_id))
    }

    async fn oldest_ready(&self, _now: Timestamp) -> Result<Option<Timestamp>> {
        Ok(self.lists().oldest_ready())
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        Ok(self.lists().list_workers())
    }

    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        self.numbers().add(deltas);
        Ok(())
    }

    async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        query.validate()?;
        Ok(self.numbers().find(query))
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(&self.documents)
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        let mut rows = self.change_lists(now, |lists| lists.sweep(retention, limit, now));
        rows += self.documents.sweep(limit - rows, now);
        rows += self.numbers().sweep(limit - rows, now);
        Ok(Swept {
            rows,
            more: rows == limit,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the storage's clock")]
fn wall_clock() -> Timestamp {
    SystemTime::now().into()
}

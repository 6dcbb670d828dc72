use async_trait::async_trait;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, OutboxEvent, Settled, Settlement,
    StatDelta, Swept,
};
use webhooks_core::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, DocumentStore, EndpointRecord,
    EventQuery, EventRecord, Expected, GroupBy, Groups, Page, Retention, Saved, StatBucket,
    StatQuery, WebhookStorage, WorkerRecord,
};
use webhooks_core::{DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WorkerId};

use crate::claim_memory::ClaimMemory;
use crate::database::Database;
use crate::enqueue::arriving;
use crate::gates::open_something;
use crate::ordered_endpoints::OrderedEndpoints;
use crate::rescue_rest::RescueRest;
use crate::settle::due_again;
use crate::sweep::Rounds;
use crate::wake::Wake;

/// Keeps definitions as they are given, and everything else, in the tables of one schema; with what
/// this process knows of them.
#[derive(Debug)]
pub(crate) struct PlainStorage {
    pub(crate) database: Database,
    pub(crate) memory: ClaimMemory,
    pub(crate) rescue_rest: RescueRest,
    pub(crate) rounds: Rounds,
    pub(crate) ordered: OrderedEndpoints,
    pub(crate) wake: Wake,
}

impl PlainStorage {
    /// Something may be ready for any endpoint.
    fn something_opened(&self) {
        self.memory.look_everywhere();
        self.wake.work();
    }

    async fn store(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
        from_outbox: bool,
    ) -> Result<Commit<Option<Enqueued>>> {
        self.ordered.stored(events);
        for event in events.iter().filter(|event| event.due_at > now) {
            self.memory.scheduled(event.due_at);
        }
        let answers = self
            .database
            .enqueue(events, worker, now, from_outbox)
            .await;
        // After an error too: perhaps only the answer was lost.
        self.events_came(events, worker.is_some(), now);
        answers
    }

    fn events_came(&self, events: &[NewEvent], leasing: bool, now: Timestamp) {
        let mut is_work = false;
        for (endpoint_id, sort_key) in arriving(events, leasing, now) {
            self.memory.arrived(endpoint_id, sort_key);
            is_work = true;
        }
        if is_work {
            self.wake.work();
        }
    }
}

#[async_trait]
impl WebhookStorage for PlainStorage {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let saved = self.database.save_definition(endpoint, expected).await;
        self.something_opened();
        saved
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        self.database.save_secrets(endpoint, expected).await
    }

    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        self.database.rewrite_credentials(stored, rewritten).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        self.database.endpoint_record(id).await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        self.database.delete_endpoint(id, expected, now).await
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        self.database.endpoints_since(revision, limit).await
    }

    async fn set_gates(&self, gates: &[EndpointGate], _: Timestamp) -> Result<()> {
        self.database.set_gates(gates).await?;
        if open_something(gates) {
            self.something_opened();
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let commit = self.store(events, worker, now, false).await?;
        Ok(Commit {
            // Only those of the outbox can be another node's.
            answers: commit.answers.into_iter().flatten().collect(),
            definitions: commit.definitions,
        })
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        let made = self.database.deliver_events(deliveries, now).await;
        // After an error too: perhaps only the answer was lost.
        self.something_opened();
        made
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        if part.event.due_at > now {
            self.memory.scheduled(part.event.due_at);
        }
        self.ordered.stored(std::slice::from_ref(&part.event));
        let answer = self.database.fan_out(part, now).await;
        self.events_came(std::slice::from_ref(&part.event), false, now);
        answer
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        self.database.fan_outs(idle_since, limit).await
    }

    fn keeps_fan_outs(&self) -> bool {
        true
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        let claimed = self.database.claim(claim, &self.memory).await?;
        self.ordered.met(&claimed.deliveries);
        Ok(claimed)
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        self.database.leased_by(worker, after, limit).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        for (_, at) in due_again(settlements) {
            self.memory.scheduled(at);
        }
        let ordered = self.ordered.of(settlements);
        let is_ordered = !ordered.is_empty();
        let settled = self.database.settle(worker, settlements, is_ordered, now);
        let settled = settled.await;
        let mut is_work = is_ordered;
        for endpoint_id in &ordered {
            // The next of an order may be ready now.
            self.memory.arrived(endpoint_id, i64::MIN);
        }
        for (endpoint_id, _) in due_again(settlements).filter(|(_, at)| *at <= now) {
            // Only the database knows its sort key.
            self.memory.arrived(endpoint_id, i64::MIN);
            is_work = true;
        }
        if is_work {
            self.wake.work();
        }
        settled
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let beat = self.database.beat(worker, at, &self.rescue_rest).await?;
        if beat.rescued > 0 {
            self.something_opened();
        }
        Ok(beat)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        query.validate()?;
        self.database.deliveries(query).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        query.validate()?;
        self.database.events(query).await
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        query.validate_filters()?;
        let changed = self.database.change(query, to, limit, now).await?;
        // The end of a head lets the next one of its order go.
        if changed.changed > 0 {
            self.something_opened();
        }
        Ok(changed)
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        self.database.counts(endpoint_id).await
    }

    async fn count(&self, query: &DeliveryQuery, at_most: u64) -> Result<u64> {
        query.validate_filters()?;
        let groups = self.database.count_by(query, &[], at_most).await?;
        Ok(groups.counted)
    }

    async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        GroupBy::validate(by)?;
        query.validate_filters()?;
        self.database.count_by(query, by, at_most).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.database.oldest_ready(now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.database.workers().await
    }

    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        self.database.add_stats(deltas).await
    }

    async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        self.database.stats(query).await
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(&self.database)
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        let swept = self.database.sweep(retention, limit, now, &self.rounds);
        swept.await
    }

    async fn read_outbox(&self, limit: usize, bytes: usize) -> Result<Vec<OutboxEvent>> {
        self.database.read_outbox(limit, bytes).await
    }

    async fn set_outbox_aside(&self, id: EventId, reason: &str, now: Timestamp) -> Result<bool> {
        self.database.set_outbox_aside(id, reason, now).await
    }

    async fn enqueue_outbox(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Option<Enqueued>>> {
        self.store(events, worker, now, true).await
    }

    async fn wait(&self) -> Result<()> {
        self.wake.wait().await;
        Ok(())
    }

    fn limits_rate(&self) -> bool {
        true
    }
}

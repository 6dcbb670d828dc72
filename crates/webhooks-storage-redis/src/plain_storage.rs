use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, Settled, Settlement, StatDelta, Swept,
};
use webhooks_core::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, DocumentStore, EndpointRecord,
    EventQuery, EventRecord, Expected, GroupBy, Groups, Page, Retention, Saved, StatBucket,
    StatQuery, WebhookStorage, WorkerRecord,
};
use webhooks_core::{
    DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WebhookError, WorkerId,
};

use crate::claim_tickets::ClaimTickets;
use crate::connection::Connection;
use crate::durability::DurabilityWarning;
use crate::settle_requests::SettleRequests;
use crate::wake::Wake;

/// Keeps definitions as they are given, and everything else, under the keys of one prefix.
#[derive(Debug)]
pub(crate) struct PlainStorage {
    pub(crate) connection: Connection,
    pub(crate) claim_tickets: ClaimTickets,
    pub(crate) settle_requests: SettleRequests,
    /// The partition at which the next claim starts.
    pub(crate) claim_turn: AtomicUsize,
    /// Counts sweeps, each of which starts at another partition.
    pub(crate) sweep_turn: AtomicUsize,
    wake: Wake,
    pub(crate) warnings: Vec<DurabilityWarning>,
}

impl PlainStorage {
    /// What a call came to that each partition does a part of: where one failed, another may have
    /// done its part.
    fn in_parts<T>(&self, outcome: Result<T>) -> Result<T> {
        if self.connection.keys.partitions() > 1 {
            return outcome.map_err(WebhookError::perhaps_done);
        }
        outcome
    }

    pub(crate) fn connected(
        connection: Connection,
        wake: Wake,
        warnings: Vec<DurabilityWarning>,
    ) -> Self {
        Self {
            connection,
            claim_tickets: ClaimTickets::default(),
            settle_requests: SettleRequests::default(),
            claim_turn: AtomicUsize::new(0),
            sweep_turn: AtomicUsize::new(0),
            wake,
            warnings,
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
        self.save_whole(endpoint, expected).await
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        self.save_secrets_alone(endpoint, expected).await
    }

    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        self.rewrite_definition(stored, rewritten).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        self.read_record(id).await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        self.bury_endpoint(id, expected, now).await
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        self.changed_endpoints(revision, limit).await
    }

    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        self.in_parts(self.change_gates(gates, now).await)
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        self.in_parts(self.store_events(events, worker, now).await)
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        self.in_parts(self.deliver_kept(deliveries, now).await)
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        self.in_parts(self.store_part(part, now).await)
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        self.idle_fan_outs(idle_since, limit).await
    }

    fn keeps_fan_outs(&self) -> bool {
        true
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        self.in_parts(self.claim_ready(claim).await)
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        self.held_leases(worker, after, limit).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        self.in_parts(self.store_outcomes(worker, settlements, now).await)
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let beaten = self.beat_all(worker, at).await;
        beaten.map_err(WebhookError::perhaps_done)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        query.validate()?;
        self.list(query).await
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        query.validate_filters()?;
        self.in_parts(self.change_matching(query, to, limit, now).await)
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        query.validate()?;
        self.list_events(query).await
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        let Some(id) = endpoint_id else {
            return self.count_all().await;
        };
        let counts = self.count_endpoints(&[id.into()]).await?;
        Ok(counts.into_iter().next().unwrap_or_default())
    }

    async fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        self.count_endpoints(endpoint_ids).await
    }

    async fn count(&self, query: &DeliveryQuery, at_most: u64) -> Result<u64> {
        query.validate_filters()?;
        Ok(self.count_groups(query, &[], at_most).await?.counted)
    }

    async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        GroupBy::validate(by)?;
        query.validate_filters()?;
        self.count_groups(query, by, at_most).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.oldest_due(now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.known_workers().await
    }

    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        self.in_parts(self.add_numbers(deltas).await)
    }

    async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        query.validate()?;
        self.read_numbers(query).await
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(self)
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        let swept = self.sweep_all(retention, limit, now).await;
        swept.map_err(WebhookError::perhaps_done)
    }

    async fn wait(&self) -> Result<()> {
        self.wake.wait().await;
        Ok(())
    }

    /// Rates are kept for all processes together, by one timestamp per endpoint (the generic cell
    /// rate algorithm).
    fn limits_rate(&self) -> bool {
        true
    }
}

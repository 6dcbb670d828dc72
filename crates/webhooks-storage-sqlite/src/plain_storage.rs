//! The calls of the trait, each on its way to the writer or the readers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, OutboxEvent, Settled, Settlement,
    StatDelta, Swept,
};
use webhooks_core::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, DocumentStore, EndpointRecord,
    EventQuery, EventRecord, Expected, Page, Retention, Saved, StatBucket, StatQuery,
    WebhookStorage, WorkerRecord,
};
use webhooks_core::{
    DeliveryId, EventId, KeptEndpoint, Result, Timestamp, WebhookEndpoint, WorkerId,
};

use crate::endpoint_row::{endpoint_record, endpoints_since};
use crate::event_listing::list_events;
use crate::readers::Readers;
use crate::state::State;
use crate::writer::Writer;
use crate::{clock, counts, fan_outs, listing, stats, workers};

/// The storage that keeps credentials as they are given.
pub(crate) struct PlainStorage {
    pub(crate) path: PathBuf,
    pub(crate) writer: Arc<Writer>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) documents: crate::document_store::SqliteDocuments,
    /// Rings when there may be work.
    pub(crate) work: Arc<Notify>,
}

impl fmt::Debug for PlainStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainStorage")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a call takes in the queue besides the bytes that it carries.
const OF_A_CALL: usize = 256;

/// What a call is for that cancels.
const CANCEL: &str = "cancel deliveries";

fn bytes_of(events: &[NewEvent]) -> usize {
    let deliveries: usize = events.iter().map(|event| event.deliveries.len()).sum();
    let payloads: usize = events.iter().map(|event| event.event.payload.len()).sum();
    payloads + (events.len() + deliveries) * OF_A_CALL
}

impl PlainStorage {
    /// Cancels what waits for an endpoint that is no more, piece by piece, so that calls beside it
    /// wait for one piece at most. What is left by a failure a sweep cancels.
    async fn cancel_stranded(&self, id: &str, now: Timestamp) -> Result<()> {
        let id = id.to_owned();
        let find = move |state: &mut State| state.endpoint(&id);
        match self.writer.call(CANCEL, OF_A_CALL, find).await? {
            Some(endpoint) => self.cancel_stranded_of(endpoint.seq, now).await,
            None => Ok(()),
        }
    }

    async fn cancel_stranded_of(&self, endpoint: i64, now: Timestamp) -> Result<()> {
        let mut after = Some(DeliveryId::MIN);
        while let Some(from) = after {
            let piece = move |state: &mut State| state.cancel_stranded(endpoint, from, now);
            after = self.writer.call(CANCEL, OF_A_CALL, piece).await?;
        }
        Ok(())
    }

    /// Empties the payloads of whole events, those without deliveries too.
    async fn erase_events(&self, query: &DeliveryQuery, now: Timestamp) -> Result<()> {
        let mut before = None;
        loop {
            let query = query.clone();
            let step = move |state: &mut State| state.erase_events(&query, before, now);
            before = self.writer.call("erase events", OF_A_CALL, step).await?;
            if before.is_none() {
                return Ok(());
            }
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
        let (kept, now) = (KeptEndpoint::from(endpoint.clone()), clock::now());
        let save = move |state: &mut State| state.save_definition(&kept, expected, now);
        let (saved, replaces) = self
            .writer
            .call("save an endpoint", OF_A_CALL, save)
            .await?;
        if replaces {
            self.cancel_stranded(&endpoint.id, now).await?;
        }
        Ok(saved)
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let (kept, now) = (KeptEndpoint::from(endpoint.clone()), clock::now());
        let save = move |state: &mut State| state.save_secrets(&kept, expected, now);
        self.writer.call("save secrets", OF_A_CALL, save).await
    }

    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let stored = KeptEndpoint::from(stored.clone());
        let new = KeptEndpoint::from(rewritten.clone());
        let rewrite = move |state: &mut State| state.rewrite_credentials(&stored, &new);
        self.writer
            .call("rewrite an endpoint", OF_A_CALL, rewrite)
            .await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        let id = id.to_owned();
        self.readers
            .call("read an endpoint", move |db| endpoint_record(db, &id))
            .await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        let name = id.to_owned();
        let delete = move |state: &mut State| state.delete_endpoint(&name, expected, now);
        let deleted = self
            .writer
            .call("delete an endpoint", OF_A_CALL, delete)
            .await?;
        if deleted == Deleted::Deleted {
            self.cancel_stranded(id, now).await?;
        }
        Ok(deleted)
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        let read = move |db: &rusqlite::Connection| endpoints_since(db, revision, limit);
        self.readers.call("read changed endpoints", read).await
    }

    async fn set_gates(&self, gates: &[EndpointGate], _now: Timestamp) -> Result<()> {
        let gates = gates.to_vec();
        let set = move |state: &mut State| state.set_gates(&gates);
        self.writer.call("change gates", OF_A_CALL, set).await
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let (events, worker) = (events.to_vec(), worker.cloned());
        let bytes = bytes_of(&events);
        let enqueue = move |state: &mut State| state.enqueue(&events, worker.as_ref(), now);
        self.writer.call("store events", bytes, enqueue).await
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        let (deliveries, bytes) = (deliveries.to_vec(), deliveries.len() * OF_A_CALL);
        let deliver = move |state: &mut State| state.deliver_events(&deliveries, now);
        self.writer.call("deliver events", bytes, deliver).await
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        let (part, bytes) = (part.clone(), bytes_of(std::slice::from_ref(&part.event)));
        let store = move |state: &mut State| state.fan_out(&part, now);
        self.writer
            .call("store a part of an event", bytes, store)
            .await
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        let read = move |db: &rusqlite::Connection| fan_outs::fan_outs(db, idle_since, 0, limit);
        self.readers.call("read fan-outs", read).await
    }

    fn keeps_fan_outs(&self) -> bool {
        true
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        let (worker, room, asked) = (
            claim.worker.clone(),
            claim.room.to_vec(),
            (claim.now, claim.limit),
        );
        let (per_endpoint, poison_suspects) = (claim.per_endpoint, claim.poison_suspects);
        let rate_limit = claim.rate_limit;
        let claim = move |state: &mut State| {
            state.claim(&Claim {
                worker: &worker,
                now: asked.0,
                limit: asked.1,
                per_endpoint,
                room: &room,
                poison_suspects,
                rate_limit,
            })
        };
        self.writer.call("claim deliveries", OF_A_CALL, claim).await
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        let worker = worker.clone();
        let read = move |db: &rusqlite::Connection| workers::leased_by(db, &worker, after, limit);
        self.readers.call("read leases", read).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        let (worker, settlements) = (worker.clone(), settlements.to_vec());
        let responses = settlements.iter().filter_map(|s| s.attempt.as_ref());
        let responses: usize = responses.map(|attempt| attempt.response.len()).sum();
        let bytes = responses + settlements.len() * OF_A_CALL;
        let settle = move |state: &mut State| state.settle(&worker, &settlements, now);
        self.writer.call("settle deliveries", bytes, settle).await
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        const WHAT: &str = "beat";
        let now = move || at.unwrap_or_else(clock::now);
        let Some(worker) = worker.cloned() else {
            return self
                .readers
                .call(WHAT, move |db| workers::look(db, now()))
                .await;
        };
        let beat = move |state: &mut State| state.beat(&worker, now());
        self.writer.call(WHAT, OF_A_CALL, beat).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        query.validate()?;
        let (mut rest, mut items) = (query.clone(), Vec::new());
        // Each look is a transaction of its own. A page so is not one moment, which a listing does
        // not promise.
        loop {
            let (query, limit) = (rest.clone(), rest.limit - items.len());
            let read = move |db: &rusqlite::Connection| listing::list(db, &query, limit);
            let (some, next) = self.readers.call("list deliveries", read).await?;
            items.extend(some);
            rest.before = next;
            if next.is_none() || items.len() == rest.limit {
                break;
            }
        }
        let last: Option<DeliveryId> = items
            .last()
            .map(|record: &DeliveryRecord| record.delivery.id);
        // A full page may be the last; the next one is then empty.
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        query.validate_filters()?;
        let asked = query.clone();
        let change = move |state: &mut State| state.change(&asked, to, limit, now);
        let changed = self
            .writer
            .call("change deliveries", OF_A_CALL, change)
            .await?;
        if changed.next.is_none() && to == Change::Erase && query.is_of_events() {
            self.erase_events(query, now).await?;
        }
        Ok(changed)
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        query.validate()?;
        let (mut rest, mut items) = (query.clone(), Vec::new());
        loop {
            let (query, limit) = (rest.clone(), rest.limit - items.len());
            let read = move |db: &rusqlite::Connection| list_events(db, &query, limit);
            let (some, next) = self.readers.call("list events", read).await?;
            items.extend(some);
            if next.is_none() || items.len() == rest.limit {
                break;
            }
            match rest.after.is_some() {
                true => rest.after = next,
                false => rest.before = next,
            }
        }
        let last = items.last().map(|record: &EventRecord| record.event.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        let id = endpoint_id.map(str::to_owned);
        let read = move |db: &rusqlite::Connection| counts::counts(db, id.as_deref());
        self.readers.call("count deliveries", read).await
    }

    async fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        let ids = endpoint_ids.to_vec();
        let read = move |db: &rusqlite::Connection| {
            ids.iter().map(|id| counts::counts(db, Some(id))).collect()
        };
        self.readers.call("count deliveries", read).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let read = move |state: &mut State| state.oldest_ready(now);
        self.writer
            .call("find the oldest delivery", OF_A_CALL, read)
            .await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.readers.call("list workers", workers::workers).await
    }

    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        let (deltas, bytes) = (deltas.to_vec(), deltas.len() * OF_A_CALL);
        let add = move |state: &mut State| state.add_stats(&deltas);
        self.writer.call("add numbers", bytes, add).await
    }

    async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        query.validate()?;
        let query = query.clone();
        self.readers
            .call("read numbers", move |db| stats::stats(db, &query))
            .await
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(&self.documents)
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        let stranded = |state: &mut State| state.stranded_endpoints();
        for endpoint in self.writer.call(CANCEL, OF_A_CALL, stranded).await? {
            self.cancel_stranded_of(endpoint, now).await?;
        }
        let retention = *retention;
        let sweep = move |state: &mut State| state.sweep(&retention, limit, now);
        self.writer.call("sweep", OF_A_CALL, sweep).await
    }

    async fn read_outbox(&self, limit: usize, bytes: usize) -> Result<Vec<OutboxEvent>> {
        let read = move |state: &mut State| state.read_outbox(limit, bytes, clock::now());
        self.writer.call("read the outbox", OF_A_CALL, read).await
    }

    async fn set_outbox_aside(&self, id: EventId, reason: &str, now: Timestamp) -> Result<bool> {
        let reason = reason.to_owned();
        let set = move |state: &mut State| state.set_outbox_aside(id, &reason, now);
        self.writer.call("set an event aside", OF_A_CALL, set).await
    }

    async fn enqueue_outbox(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Option<Enqueued>>> {
        let (events, worker) = (events.to_vec(), worker.cloned());
        let bytes = bytes_of(&events);
        let enqueue = move |state: &mut State| state.enqueue_outbox(&events, worker.as_ref(), now);
        self.writer
            .call("store events of the outbox", bytes, enqueue)
            .await
    }

    fn limits_rate(&self) -> bool {
        true
    }

    async fn wait(&self) -> Result<()> {
        // A permit that was left is taken here at once, so that what came between a claim and this
        // call is not missed.
        self.work.notified().await;
        Ok(())
    }
}

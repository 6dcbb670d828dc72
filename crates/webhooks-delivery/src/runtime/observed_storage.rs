//! A storage whose calls are observed.
//!
//! Only a system with an observer has one around its storage: without it, no call is made longer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
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
use webhooks_core::{
    DeliveryId, EventId, Result, StorageCall, StorageCallEnd, Timestamp, WebhookEndpoint, WorkerId,
};

use crate::observer::Observer;

/// A storage whose calls are told to an observer.
#[derive(Debug)]
pub(crate) struct ObservedStorage {
    inner: Arc<dyn WebhookStorage>,
    observer: Observer,
}

impl ObservedStorage {
    /// The storage as it is, if nobody observes it.
    pub(crate) fn around(
        inner: Arc<dyn WebhookStorage>,
        observer: &Observer,
    ) -> Arc<dyn WebhookStorage> {
        if !observer.is_there() {
            return inner;
        }
        let observer = observer.clone();
        Arc::new(Self { inner, observer })
    }

    fn tell<T>(
        &self,
        name: &'static str,
        items: Option<usize>,
        took: Duration,
        result: &Result<T>,
    ) {
        let mut call = StorageCall::new(name, took, StorageCallEnd::of(result));
        call.items = items;
        self.observer
            .tell(|observer| observer.storage_called(&call));
    }
}

/// Implements [`WebhookStorage`]: the calls that are listed are timed, each with how much it stores,
/// if that counts; the items behind them stand as they are.
macro_rules! observed {
    (
        $(
            fn $name:ident(&$this:ident, $($argument:ident: $type:ty),*) -> $answer:ty $({
                $items:expr
            })?
        )+
        as it is: $($others:item)+
    ) => {
        #[async_trait]
        impl WebhookStorage for ObservedStorage {
            $(
                async fn $name(&$this, $($argument: $type),*) -> Result<$answer> {
                    let items: Option<usize> = None $(.or(Some($items)))?;
                    let began = Instant::now();
                    let result = $this.inner.$name($($argument),*).await;
                    $this.tell(stringify!($name), items, began.elapsed(), &result);
                    result
                }
            )+
            $($others)+
        }
    };
}

observed! {
    fn save_endpoint(&self, endpoint: &WebhookEndpoint) -> ()
    fn save_definition(&self, endpoint: &WebhookEndpoint, expected: Expected) -> Saved
    fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Saved
    fn rewrite_credentials(&self, stored: &WebhookEndpoint, rewritten: &WebhookEndpoint) -> bool
    fn endpoint_record(&self, id: &str) -> Option<EndpointRecord>
    fn get_endpoint(&self, id: &str) -> Option<WebhookEndpoint>
    fn delete_endpoint(&self, id: &str, expected: Expected, now: Timestamp) -> Deleted
    fn endpoints_since(&self, revision: u64, limit: usize) -> EndpointChanges
    fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> ()
    fn enqueue(&self, events: &[NewEvent], worker: Option<&WorkerId>, now: Timestamp) -> Commit<Enqueued> { events.len() }
    fn deliver_events(&self, deliveries: &[EventDelivery], now: Timestamp) -> Vec<DeliveredEvent>
    fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Option<Enqueued> { 1 }
    fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Vec<FanOut>
    fn claim(&self, claim: &Claim<'_>) -> Claimed
    fn leased_by(&self, worker: &WorkerId, after: Option<DeliveryId>, limit: usize) -> Vec<HeldLease>
    fn settle(&self, worker: &WorkerId, settlements: &[Settlement], now: Timestamp) -> Vec<Settled> { settlements.len() }
    fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Beat
    fn deliveries(&self, query: &DeliveryQuery) -> Page<DeliveryRecord>
    fn change(&self, query: &DeliveryQuery, to: Change, limit: usize, now: Timestamp) -> Changed
    fn events(&self, query: &EventQuery) -> Page<EventRecord, EventId>
    fn counts(&self, endpoint_id: Option<&str>) -> Counts
    fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Vec<Counts>
    fn count(&self, query: &DeliveryQuery, at_most: u64) -> u64
    fn count_by(&self, query: &DeliveryQuery, by: &[GroupBy], at_most: u64) -> Groups
    fn oldest_ready(&self, now: Timestamp) -> Option<Timestamp>
    fn workers(&self,) -> Vec<WorkerRecord>
    fn add_stats(&self, deltas: &[StatDelta]) -> ()
    fn stats(&self, query: &StatQuery) -> Vec<StatBucket>
    fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Swept
    fn read_outbox(&self, limit: usize, bytes: usize) -> Vec<OutboxEvent>
    fn set_outbox_aside(&self, id: EventId, reason: &str, now: Timestamp) -> bool
    fn enqueue_outbox(&self, events: &[NewEvent], worker: Option<&WorkerId>, now: Timestamp) -> Commit<Option<Enqueued>> { events.len() }
    as it is:
    // It ends when there is work, so that its time says nothing of the storage.
    async fn wait(&self) -> Result<()> {
        self.inner.wait().await
    }
    fn documents(&self) -> Option<&dyn DocumentStore> {
        self.inner.documents()
    }
    fn keeps_fan_outs(&self) -> bool {
        self.inner.keeps_fan_outs()
    }
    fn limits_rate(&self) -> bool {
        self.inner.limits_rate()
    }
}

//! The storage as callers see it: a lock around [`State`], a clock for where no time is given, and
//! the waking of who waits for work.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::Notify;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, Settled, Settlement, StatDelta, Swept,
};
use webhooks_core::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, DocumentStore, EndpointRecord,
    EventQuery, EventRecord, Expected, GroupBy, Groups, Page, Retention, Saved, StatBucket,
    StatQuery, WebhookStorage, WorkerRecord,
};
use webhooks_core::{Clock, DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WorkerId};

use crate::MemoryLimits;
use crate::clock::WallClock;
use crate::document_store::MemoryDocuments;
use crate::numbers::Numbers;
use crate::state::State;

/// Keeps everything in the memory of one process.
///
/// One lock guards all of it and is held for microseconds, never across an await. Several systems
/// of a process may share one storage through an `Arc`. What waits is lost when the process ends.
///
/// Secrets and header values of endpoints are wiped from memory when an endpoint is replaced,
/// deleted or dropped with the storage; copies that were handed out are their owner's to wipe.
pub struct MemoryStorage {
    /// Not an async lock: nothing is awaited under it, and no holder has it for long.
    state: Mutex<State>,
    // Apart, since no delivery waits for them: a long look at one is no standstill of the others.
    numbers: Mutex<Numbers>,
    documents: MemoryDocuments,
    clock: Box<dyn Clock>,
    work: Notify,
}

impl MemoryStorage {
    /// An empty storage with the default [`MemoryLimits`].
    #[must_use]
    pub fn new() -> Self {
        let clock = WallClock::new();
        let state = State::new(MemoryLimits::default(), clock.now());
        Self {
            state: Mutex::new(state),
            numbers: Mutex::default(),
            documents: MemoryDocuments::new(&MemoryLimits::default()),
            clock: Box::new(clock),
            work: Notify::new(),
        }
    }

    /// Sets how much is held at most. Documents that are there are gone.
    ///
    /// Defaults to [`MemoryLimits::default`].
    #[must_use]
    pub fn with_limits(mut self, limits: MemoryLimits) -> Self {
        self.lock().limits = limits;
        self.documents = MemoryDocuments::new(&limits);
        self
    }

    /// Sets the clock. Defaults to the wall clock, which follows Tokio's clock where a test pauses
    /// that one.
    ///
    /// Silence of workers counts from the clock's time of now, as if the storage had just been
    /// started.
    ///
    /// ```
    /// use webhooks_core::{Clock, Timestamp};
    /// use webhooks_storage_memory::MemoryStorage;
    ///
    /// #[derive(Debug)]
    /// struct Noon;
    ///
    /// impl Clock for Noon {
    ///     fn now(&self) -> Timestamp {
    ///         Timestamp::from_secs(43_200)
    ///     }
    /// }
    ///
    /// let storage = MemoryStorage::new().with_clock(Noon);
    /// # drop(storage);
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.lock().started_at = clock.now();
        self.clock = Box::new(clock);
        self
    }

    /// A panic inside the lock would be a bug here, and the state is then no worse than the call
    /// that failed: others go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change and then wakes who waits, if there may be work.
    ///
    /// Every call that may make something claimable goes through here, and nothing else takes the
    /// flag but a claim.
    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = change(&mut state);
        state.trim_events();
        let wake = std::mem::take(&mut state.wake);
        drop(state);
        if wake {
            // All who wait now, as one alone may have no room for what came; and whoever comes
            // next, so that no change falls between a look and the waiting.
            self.work.notify_waiters();
            self.work.notify_one();
        }
        answer
    }
}

impl MemoryStorage {
    /// Counts what matches in groups, at most so many. The lock is let go between two looks.
    async fn count_groups(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        query.validate_filters()?;
        let mut rest = DeliveryQuery {
            before: None,
            ..query.clone()
        };
        let (mut groups, mut left) = (HashMap::new(), at_most);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX);
            let (counted, resume) = self.lock().count_into(&mut groups, &rest, by, limit);
            left -= counted as u64;
            rest.before = resume;
            if resume.is_none() {
                return Ok(Groups::new(groups, false));
            }
            let_others_run().await;
        }
        Ok(Groups::new(groups, true))
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

// Counts only: rows hold payloads, and endpoints credentials.
impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryStorage")
            .field("counts", &state.counts)
            .field("endpoints", &state.endpoints.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl WebhookStorage for MemoryStorage {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let now = self.clock.now();
        Ok(self.change_state(|state| state.save_definition(endpoint, expected, now)))
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let now = self.clock.now();
        Ok(self.change_state(|state| state.save_secrets(endpoint, expected, now)))
    }

    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        Ok(self.lock().rewrite_credentials(stored, rewritten))
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        Ok(self.lock().endpoint_record(id))
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        Ok(self.change_state(|state| state.delete_endpoint(id, expected, now)))
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        Ok(self.lock().endpoints_since(revision, limit))
    }

    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        self.change_state(|state| state.set_gates(gates, now));
        Ok(())
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        self.change_state(|state| state.enqueue(events, worker, now))
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        self.change_state(|state| state.deliver_events(deliveries, now))
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        self.change_state(|state| state.fan_out(part, now))
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        Ok(self.lock().fan_outs(idle_since, limit))
    }

    fn keeps_fan_outs(&self) -> bool {
        true
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        let mut state = self.lock();
        let claimed = state.claim(claim);
        // Who claims knows what it left behind.
        state.wake = false;
        Ok(claimed)
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        Ok(self.lock().leased_by(worker, after, limit))
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        Ok(self.change_state(|state| state.settle(worker, settlements, now)))
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let now = at.unwrap_or_else(|| self.clock.now());
        Ok(self.change_state(|state| state.beat(worker, now)))
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        query.validate()?;
        let mut rest = query.clone();
        let mut items = Vec::new();
        // The lock is taken for each look and let go between them. A page so is not one instant,
        // which a listing does not promise.
        loop {
            let resume = self.lock().scan(&rest, &mut items);
            if resume.is_none() {
                break;
            }
            rest.before = resume;
            // Without it, one listing would keep a thread of the runtime from all its other tasks.
            let_others_run().await;
        }
        if query.with_attempts {
            let wanted = items.iter_mut().map(|i| (i.delivery.id, &mut i.attempts));
            self.lock().log.attach(wanted);
        }
        let last = items.last().map(|record| record.delivery.id);
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
        let changed = self.change_state(|state| state.change(query, to, limit, now));
        if changed.next.is_none() && to == Change::Erase && query.is_of_events() {
            let mut before = None;
            loop {
                before = self.change_state(|state| state.erase_events(query, before, now));
                if before.is_none() {
                    break;
                }
                let_others_run().await;
            }
        }
        Ok(changed)
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        query.validate()?;
        let (mut rest, mut items) = (query.clone(), Vec::new());
        loop {
            let resume = self.lock().scan_events(&rest, &mut items);
            if resume.is_none() {
                break;
            }
            match query.after {
                Some(_) => rest.after = resume,
                None => rest.before = resume,
            }
            let_others_run().await;
        }
        let last = items.last().map(|record| record.event.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        Ok(self.lock().counts_of(endpoint_id))
    }

    async fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        Ok(self.lock().counts_of_each(endpoint_ids))
    }

    async fn count(&self, query: &DeliveryQuery, at_most: u64) -> Result<u64> {
        Ok(self.count_groups(query, &[], at_most).await?.counted)
    }

    async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        GroupBy::validate(by)?;
        self.count_groups(query, by, at_most).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        Ok(self.change_state(|state| state.oldest_ready(now)))
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        Ok(self.lock().list_workers())
    }

    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        let most = self.lock().limits.stat_buckets;
        self.numbers().add(deltas, most);
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
        let mut rows = self.change_state(|state| state.sweep(retention, limit, now));
        rows += self.documents.sweep(limit - rows, now);
        rows += self.numbers().sweep(limit - rows, now);
        Ok(Swept {
            rows,
            // A step that met its limit exactly may have left something; an empty further step does
            // no harm.
            more: rows == limit,
        })
    }

    async fn wait(&self) -> Result<()> {
        // A permit that `notify_one` left is taken here at once, so that what came between a claim
        // and this call is not missed.
        self.work.notified().await;
        Ok(())
    }
}

/// Gives the other tasks of this thread a turn, on any runtime.
async fn let_others_run() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

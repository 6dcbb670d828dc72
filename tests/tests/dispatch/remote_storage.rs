use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, OutboxEvent, PartPlace, SettleAs,
    Settled, Settlement, Swept,
};
use webhooks_core::storage::{
    Change, Changed, Counts, Deleted, DeliveryQuery, DeliveryRecord, EndpointRecord, EventQuery,
    EventRecord, Expected, Page, Retention, Saved, WebhookStorage, WorkerRecord,
};
use webhooks_core::{
    DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WebhookError, WorkerId,
};
use webhooks_storage_memory::MemoryStorage;

/// A storage that is some way off: every call takes that long to get there, and its answer as long
/// to come back, unless it is lost.
#[derive(Debug)]
pub(crate) struct RemoteStorage {
    pub(crate) inner: Arc<MemoryStorage>,
    pub(crate) way: Duration,
    lost: Mutex<Option<Lost>>,
    outbox: Mutex<Vec<OutboxEvent>>,
    /// Events that were set aside, and why.
    pub(crate) aside: Mutex<Vec<(EventId, String)>>,
    /// Of this endpoint every outcome, gate and event of the outbox is refused for good.
    refused: Mutex<Option<&'static str>>,
    /// How long the next beat takes before it is carried out, and after that.
    pub(crate) slow_beat: Mutex<Option<[Duration; 2]>>,
    /// How many answers to settlements are left out.
    pub(crate) left_out: Mutex<usize>,
    /// Answers to this come so much later.
    slow: Mutex<Option<(Slow, Duration)>>,
    /// How many deliveries were given back.
    pub(crate) released: Mutex<usize>,
    /// How many deliveries each call of `enqueue` brought.
    pub(crate) enqueued: Mutex<Vec<usize>>,
}

/// What does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Calls,
    Answers,
    /// Calls that store or lease something fail at once, and take effect a while later.
    Late,
}

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    Refreshes,
    Claims,
    Commits,
}

/// How much later.
const LATE: Duration = Duration::from_secs(3);

impl RemoteStorage {
    pub(crate) fn new(inner: &Arc<MemoryStorage>, way: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.clone(),
            way,
            lost: Mutex::default(),
            outbox: Mutex::default(),
            aside: Mutex::default(),
            refused: Mutex::default(),
            slow_beat: Mutex::default(),
            left_out: Mutex::default(),
            enqueued: Mutex::default(),
            slow: Mutex::default(),
            released: Mutex::default(),
        })
    }

    /// Answers to this come so much later from now on.
    pub(crate) fn slow_down(&self, what: Option<(Slow, Duration)>) {
        *self.slow.lock().unwrap() = what;
    }

    async fn is_slow(&self, what: Slow) {
        let slow = *self.slow.lock().unwrap();
        if let Some((_, pause)) = slow.filter(|(slow, _)| *slow == what) {
            sleep(pause).await;
        }
    }

    /// Loses this from now on.
    pub(crate) fn lose(&self, what: Option<Lost>) {
        *self.lost.lock().unwrap() = what;
    }

    /// Refuses for good what is of this endpoint, from now on, and with it the whole call.
    pub(crate) fn refuse(&self, endpoint_id: Option<&'static str>) {
        *self.refused.lock().unwrap() = endpoint_id;
    }

    fn refuses<'a>(&self, mut of: impl Iterator<Item = &'a Arc<str>>) -> Result<()> {
        let refused = *self.refused.lock().unwrap();
        if refused.is_some_and(|refused| of.any(|id| **id == *refused)) {
            let text = "value out of range";
            return Err(WebhookError::permanent_storage("cannot store", text).without_effect());
        }
        Ok(())
    }

    /// As a transaction does that commits.
    pub(crate) fn put_into_outbox(&self, event: OutboxEvent) {
        self.outbox.lock().unwrap().push(event);
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        sleep(self.way).await;
        self.fails_if(Lost::Calls)?;
        let answer = call.await;
        sleep(self.way).await;
        self.fails_if(Lost::Answers)?;
        answer
    }

    /// Whether a call fails at once, and this is done later.
    fn is_late(&self, effect: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        if *self.lost.lock().unwrap() == Some(Lost::Late) {
            tokio::spawn(async {
                sleep(LATE).await;
                effect.await;
            });
        }
        self.fails_if(Lost::Late)
    }

    fn fails_if(&self, what: Lost) -> Result<()> {
        if *self.lost.lock().unwrap() == Some(what) {
            let cause = std::io::Error::other("connection reset");
            return Err(WebhookError::transient_storage("no answer", cause));
        }
        Ok(())
    }
}

#[async_trait]
impl WebhookStorage for RemoteStorage {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        self.call(self.inner.save_definition(endpoint, expected))
            .await
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        self.call(self.inner.save_secrets(endpoint, expected)).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        self.call(self.inner.endpoint_record(id)).await
    }

    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        self.call(self.inner.delete_endpoint(id, expected, now))
            .await
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        let changes = self.call(self.inner.endpoints_since(revision, limit)).await;
        self.is_slow(Slow::Refreshes).await;
        changes
    }

    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        self.refuses(gates.iter().map(|gate| &gate.endpoint_id))?;
        self.call(self.inner.set_gates(gates, now)).await
    }

    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let deliveries = events.iter().map(|event| event.deliveries.len()).sum();
        self.enqueued.lock().unwrap().push(deliveries);
        let (inner, later, by) = (self.inner.clone(), events.to_vec(), worker.cloned());
        self.is_late(async move { drop(inner.enqueue(&later, by.as_ref(), now).await) })?;
        let enqueued = self.call(self.inner.enqueue(events, worker, now)).await;
        self.is_slow(Slow::Commits).await;
        enqueued
    }

    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        if part.place == PartPlace::FirstOfOutbox {
            let events = std::slice::from_ref(&part.event);
            let commit = self.enqueue_outbox(events, None, now).await?;
            return Ok(commit.answers.into_iter().next().flatten());
        }
        let deliveries = &part.event.deliveries;
        self.refuses(deliveries.iter().map(|delivery| &delivery.endpoint_id))?;
        self.enqueued.lock().unwrap().push(deliveries.len());
        self.call(self.inner.fan_out(part, now)).await
    }

    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        self.call(self.inner.fan_outs(idle_since, limit)).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed> {
        let (inner, worker) = (self.inner.clone(), claim.worker.clone());
        let (now, limit) = (claim.now, claim.limit);
        self.is_late(async move {
            let later = Claim {
                worker: &worker,
                now,
                limit,
                per_endpoint: limit,
                room: &[],
                poison_suspects: 0,
                rate_limit: None,
            };
            drop(inner.claim(&later).await);
        })?;
        let claimed = self.call(self.inner.claim(claim)).await;
        if claimed.as_ref().is_ok_and(|c| !c.deliveries.is_empty()) {
            self.is_slow(Slow::Claims).await;
        }
        claimed
    }

    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        self.call(self.inner.leased_by(worker, after, limit)).await
    }

    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        self.refuses(settlements.iter().map(|s| &s.endpoint_id))?;
        let goes_back = |s: &&Settlement| matches!(s.settle_as, SettleAs::Release { .. });
        *self.released.lock().unwrap() += settlements.iter().filter(goes_back).count();
        let settle = self.inner.settle(worker, settlements, now);
        let mut settled = self.call(settle).await?;
        settled.truncate(settled.len().saturating_sub(*self.left_out.lock().unwrap()));
        Ok(settled)
    }

    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat> {
        let [before, after] = self.slow_beat.lock().unwrap().take().unwrap_or_default();
        let beat = async {
            sleep(before).await;
            let beat = self.inner.beat(worker, at).await?;
            sleep(after).await;
            let outbox = beat.outbox || !self.outbox.lock().unwrap().is_empty();
            Ok(Beat { outbox, ..beat })
        };
        self.call(beat).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        self.call(self.inner.deliveries(query)).await
    }

    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        self.call(self.inner.change(query, to, limit, now)).await
    }

    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        self.call(self.inner.deliver_events(deliveries, now)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        self.call(self.inner.events(query)).await
    }

    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.call(self.inner.oldest_ready(now)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        self.call(self.inner.workers()).await
    }

    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        self.call(self.inner.counts(endpoint_id)).await
    }

    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept> {
        self.call(self.inner.sweep(retention, limit, now)).await
    }

    async fn read_outbox(&self, limit: usize, _: usize) -> Result<Vec<OutboxEvent>> {
        let read = async {
            let outbox = self.outbox.lock().unwrap();
            Ok(outbox.iter().take(limit).cloned().collect())
        };
        self.call(read).await
    }

    async fn set_outbox_aside(&self, id: EventId, reason: &str, _: Timestamp) -> Result<bool> {
        self.outbox.lock().unwrap().retain(|event| event.id != id);
        self.aside.lock().unwrap().push((id, reason.into()));
        Ok(true)
    }

    async fn enqueue_outbox(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Option<Enqueued>>> {
        let deliveries = events.iter().flat_map(|event| &event.deliveries);
        self.refuses(deliveries.map(|delivery| &delivery.endpoint_id))?;
        let enqueue = async {
            let enqueued = self.inner.enqueue(events, worker, now).await?;
            let is_taken = |id| events.iter().any(|taken| taken.event.id == id);
            let mut outbox = self.outbox.lock().unwrap();
            outbox.retain(|event| !is_taken(event.id));
            Ok(Commit {
                answers: enqueued.answers.into_iter().map(Some).collect(),
                definitions: enqueued.definitions,
            })
        };
        self.call(enqueue).await
    }

    async fn wait(&self) -> Result<()> {
        self.inner.wait().await
    }

    fn keeps_fan_outs(&self) -> bool {
        self.inner.keeps_fan_outs()
    }
}

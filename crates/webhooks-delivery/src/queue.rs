//! The persistent queue by hand, for those who deliver without the scheduler.
//!
//! For programs that bring their own loop: one delivery at a time, with no lanes, turns, circuits
//! or rate limits. The rules of the storage are the same, and a queue may share one with pipelines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use webhooks_core::storage::spi::{
    Claim, Enqueued, NewDelivery, NewEvent, SettleAs, Settled, Settlement, WORKER_BEAT_EVERY,
};
use webhooks_core::storage::{EndpointRecord, WebhookStorage};
use webhooks_core::{
    AttemptRecord, DeliveryResult, Lease, Result, RetryStrategy, WebhookDelivery, WebhookError,
};

use crate::lock::lock;
use crate::runtime::{StorageClock, Worker};
use crate::schedule::settle_as;

/// A persistent priority queue of deliveries, on any storage.
///
/// What [`dequeue`](Self::dequeue) returns is leased to this queue, which beats while it lives;
/// [`complete`](Self::complete) or [`requeue`](Self::requeue) settles it. When the process dies,
/// others get it back within 20 s.
///
/// | call | what it does |
/// |---|---|
/// | [`enqueue`](Self::enqueue) | stores a delivery for one endpoint |
/// | [`dequeue`](Self::dequeue) | leases the next one |
/// | [`complete`](Self::complete) | settles it by a result, as an attempt |
/// | [`requeue`](Self::requeue) | gives it back, as no attempt |
///
/// A call settles under the token of the lease: after the lease was lost it changes nothing and
/// says [`DeliveryNotFound`](WebhookError::DeliveryNotFound).
#[derive(Debug)]
pub struct WebhookQueue {
    worker: Arc<Worker>,
    retry_strategy: RetryStrategy,
    /// Begun by the first call, inside whose runtime it runs.
    beating: tokio::sync::OnceCell<Beating>,
    /// Leased and not handed out, because who asked was cut off: nobody else can take these.
    leased: Arc<Mutex<VecDeque<WebhookDelivery>>>,
}

/// Beats until it is dropped.
#[derive(Debug)]
struct Beating(JoinHandle<()>);

impl WebhookQueue {
    /// A queue on `storage`, whose retries follow `retry_strategy`.
    #[must_use]
    pub fn new(storage: Arc<dyn WebhookStorage>, retry_strategy: RetryStrategy) -> Self {
        Self {
            worker: Arc::new(Worker::new(storage, Arc::new(StorageClock::new()))),
            retry_strategy,
            beating: tokio::sync::OnceCell::new(),
            leased: Arc::default(),
        }
    }

    /// Stores a delivery, durably. It is due at its `due_at`, or at once if that is not after the
    /// event's own time.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`], [`WebhookError::Overloaded`] when the storage or the
    /// endpoint's backlog is full, and [`WebhookError::StorageError`].
    pub async fn enqueue(&self, delivery: WebhookDelivery) -> Result<()> {
        self.ready().await?;
        let now = self.worker.now();
        // Who asks for no delay gets none, though his clock may be ahead of the storage's.
        let is_delayed = delivery.due_at > delivery.event.created_at;
        let due_at = if is_delayed { delivery.due_at } else { now };
        let event = NewEvent {
            event: delivery.event,
            priority: delivery.priority,
            due_at,
            max_retries: delivery.max_retries,
            idempotency_key: None,
            fingerprint: None,
            keep: false,
            deliveries: vec![NewDelivery {
                id: delivery.id,
                endpoint_id: delivery.endpoint_id.clone(),
                incarnation: None,
                by_name: true,
                order: delivery.order,
                lease: false,
            }],
        };
        // Not leased: whoever is first in turn gets it.
        let stored = self.worker.storage.enqueue(&[event], None, now).await?;
        match stored.answers.first() {
            Some(Enqueued::Stored { missing, dead }) if missing.is_empty() && dead.is_empty() => {
                Ok(())
            }
            Some(Enqueued::Stored { missing, .. }) if missing.is_empty() => {
                Err(WebhookError::Overloaded(
                    format!("the backlog of {} is full", delivery.endpoint_id).into(),
                ))
            }
            _ => Err(WebhookError::EndpointNotFound(
                (*delivery.endpoint_id).into(),
            )),
        }
    }

    /// Leases the most urgent delivery that is ready, with its endpoint; `None` if there is none. Of
    /// an endpoint that batches it may lease a whole batch, whose rest the next calls return.
    /// What a call has leased that was dropped before it returned, the next one returns.
    ///
    /// # Errors
    ///
    /// [`WebhookError::StorageError`]. If the answer of the storage was lost, what it leased comes
    /// back once this queue is dropped.
    pub async fn dequeue(&self) -> Result<Option<WebhookDelivery>> {
        self.ready().await?;
        loop {
            if lock(&self.leased).is_empty() {
                self.lease_one().await?;
            }
            // Left in its place until its endpoint was read: a call that is dropped at the await
            // below loses nothing.
            let first = lock(&self.leased).front().map(|d| d.endpoint_id.clone());
            let Some(endpoint_id) = first else {
                return Ok(None);
            };
            let record = self.worker.storage.endpoint_record(&endpoint_id).await?;
            if let Some(error) = record.as_ref().and_then(|r| r.unreadable.as_ref()) {
                return Err(error.clone());
            }
            // Another call has taken it during the read; this one looks for the next.
            let Some(mut delivery) = self.take_leased(&endpoint_id) else {
                continue;
            };
            let is_for_it = |r: &EndpointRecord| r.incarnation == delivery.incarnation;
            if let Some(record) = record.filter(is_for_it) {
                delivery.endpoint = Some(record.endpoint);
                return Ok(Some(delivery));
            }
            // The storage cancels it: nobody is there for it any more.
            let at = self.worker.now();
            drop(self.settle(&delivery, SettleAs::Release { at }, None).await);
        }
    }

    /// Leases in a task of its own, which goes on when who asked is dropped.
    async fn lease_one(&self) -> Result<()> {
        let (worker, leased) = (self.worker.clone(), self.leased.clone());
        let leasing = tokio::spawn(async move {
            let claim = Claim {
                worker: &worker.id(),
                now: worker.now(),
                limit: 1,
                per_endpoint: 1,
                room: &[],
                // Per call: callers that work on several deliveries at a time may hold several
                // suspects.
                poison_suspects: 1,
                rate_limit: None,
            };
            let claimed = worker.storage.claim(&claim).await?;
            lock(&leased).extend(claimed.deliveries);
            Ok(())
        });
        // The cause may be the text of a panic, which may hold anything.
        let cut_off = |_| Err(WebhookError::StorageError("the claim was cut off".into()));
        leasing.await.unwrap_or_else(cut_off)
    }

    /// The first that is leased, if it is still of this endpoint.
    fn take_leased(&self, endpoint_id: &str) -> Option<WebhookDelivery> {
        let mut leased = lock(&self.leased);
        let first = leased.front()?;
        (*first.endpoint_id == *endpoint_id).then(|| leased.pop_front())?
    }

    /// Gives a delivery back, not counted, to be due at its `due_at`.
    ///
    /// # Errors
    ///
    /// [`WebhookError::DeliveryNotFound`] when it is not leased to this queue (any more), and
    /// [`WebhookError::StorageError`].
    pub async fn requeue(&self, delivery: WebhookDelivery) -> Result<()> {
        let at = delivery.due_at.max(self.worker.now());
        self.settle(&delivery, SettleAs::Release { at }, None).await
    }

    /// Settles a delivery as its attempt came out: delivered, to be retried, or dead.
    ///
    /// # Errors
    ///
    /// As [`requeue`](Self::requeue).
    pub async fn complete(
        &self,
        delivery: &WebhookDelivery,
        result: &DeliveryResult,
    ) -> Result<()> {
        let settle_as = settle_as(&self.retry_strategy, delivery, result, self.worker.now());
        let attempt = AttemptRecord::of(delivery, result);
        self.settle(delivery, settle_as, Some(attempt)).await
    }

    async fn settle(
        &self,
        delivery: &WebhookDelivery,
        settle_as: SettleAs,
        attempt: Option<AttemptRecord>,
    ) -> Result<()> {
        let not_ours =
            || WebhookError::DeliveryNotFound(format!("{} is not leased", delivery.id).into());
        let Some(Lease { worker, token }) = &delivery.lease else {
            return Err(not_ours());
        };
        let settlement = Settlement {
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id.clone(),
            token: *token,
            settle_as,
            attempt,
        };
        let settled = self
            .worker
            .storage
            .settle(worker, &[settlement], self.worker.now())
            .await?;
        match settled.first() {
            Some(Settled::Applied | Settled::Cancelled) => Ok(()),
            Some(Settled::Stale) | None => Err(not_ours()),
        }
    }

    /// Takes the storage's time over and starts to beat, once.
    async fn ready(&self) -> Result<()> {
        self.beating
            .get_or_try_init(|| self.start_beating())
            .await?;
        Ok(())
    }

    async fn start_beating(&self) -> Result<Beating> {
        self.worker.beat(true).await?;
        let (worker, leased) = (self.worker.clone(), self.leased.clone());
        Ok(Beating(tokio::spawn(async move {
            loop {
                tokio::time::sleep(WORKER_BEAT_EVERY).await;
                match worker.beat(true).await {
                    // Others take these now.
                    Ok((beat, _)) if beat.lost => lock(&leased).clear(),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "cannot beat"),
                }
            }
        })))
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

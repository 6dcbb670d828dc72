//! This process, as its storage knows it.
//!
//! Calls that lease or settle say who calls and when. Both are added here, so that none can be made
//! under another id or by the machine's own clock. Answers are counted: a storage that gives
//! another number than it was asked for has failed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{
    Beat, Claim, Claimed, Commit, EndpointGate, Enqueued, NewEvent, Settled, Settlement,
};
use webhooks_core::{Clock, RateLimitConfig, Result, Timestamp, WorkerId};

use super::identity::Identity;
use super::moment;
use super::parts::check_answers;
use super::storage_clock::StorageClock;
use crate::lock::lock;
use crate::schedule::ClaimRequest;

/// This process, as its storage knows it: the calls that it makes under its id and at storage time.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) clock: Arc<StorageClock>,
    /// Changes if a copy of this process shows up.
    identity: Identity,
    /// When the last beat that was stored began, as a [`moment`].
    beaten: Mutex<Option<Instant>>,
}

impl Worker {
    pub(crate) fn new(storage: Arc<dyn WebhookStorage>, clock: Arc<StorageClock>) -> Self {
        Self {
            storage,
            clock,
            identity: Identity::new(WorkerId::unique()),
            beaten: Mutex::default(),
        }
    }

    /// The id under which this process leases, from now on.
    pub(crate) fn id(&self) -> WorkerId {
        self.identity.worker()
    }

    /// Storage time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Beats, as one that leases or as one that only reads, and takes the storage's time over.
    /// Also returns when it was sent.
    pub(crate) async fn beat(&self, leases: bool) -> Result<(Beat, Instant)> {
        // Before the call: the right to start counts from here.
        let asked = moment::now();
        let beat = if leases {
            self.identity.beat(&*self.storage).await?
        } else {
            self.storage.beat(None, None).await?
        };
        self.clock.set(beat.now, asked);
        *lock(&self.beaten) = Some(asked);
        Ok((beat, asked))
    }

    /// How long ago the last beat that was stored began; `None` before the first.
    pub(crate) fn beat_age(&self) -> Option<Duration> {
        let beaten = *lock(&self.beaten);
        beaten.map(|asked| moment::now().saturating_duration_since(asked))
    }

    /// Leases deliveries under the id of this moment.
    pub(crate) async fn claim(
        &self,
        request: &ClaimRequest,
        rate_limit: Option<RateLimitConfig>,
    ) -> Result<Claimed> {
        let claim = Claim {
            worker: &self.id(),
            now: self.now(),
            limit: request.limit,
            per_endpoint: request.per_endpoint,
            room: &request.room,
            poison_suspects: request.poison_suspects,
            rate_limit,
        };
        self.storage.claim(&claim).await
    }

    /// Stores events in one commit under the id `worker`: one answer for each.
    pub(crate) async fn enqueue(
        &self,
        worker: &WorkerId,
        events: &[NewEvent],
    ) -> Result<Commit<Enqueued>> {
        let stored = self.storage.enqueue(events, Some(worker), self.now());
        let Commit {
            answers,
            definitions,
        } = stored.await?;
        let answers = check_answers(events.len(), answers)?;
        Ok(Commit {
            answers,
            definitions,
        })
    }

    /// Settles deliveries: one answer for each.
    pub(crate) async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        // If the id has changed since these were leased, the storage answers `Stale`: the leases
        // are lost, as the scheduler was told.
        let worker = self.id();
        let settled = self.storage.settle(&worker, settlements, self.now());
        check_answers(settlements.len(), settled.await?)
    }

    /// Stores changes of gates, in order.
    pub(crate) async fn set_gates(&self, gates: &[EndpointGate]) -> Result<()> {
        self.storage.set_gates(gates, self.now()).await
    }
}

//! The seam between the system and a database.
//!
//! A storage keeps endpoints, deliveries and the log of attempts. Its one promise is that what it
//! acknowledged is not lost. It never reads its own clock where a caller passes `now`.
//!
//! Here is what users of a system meet; what only a storage's author or a scheduler needs besides is
//! in [`spi`].

mod claim;
mod constants;
mod counts;
mod documents;
mod endpoints;
mod enqueue;
mod events;
mod fan_out;
mod fingerprint;
mod forward;
mod gates;
mod groups;
mod outbox;
mod query;
mod settlement;
pub mod spi;
mod stats;
mod walk;
mod workers;

use std::fmt::Debug;
use std::sync::Arc;

/// For [`forward_storage`](crate::forward_storage).
#[doc(hidden)]
pub use async_trait::async_trait;

use crate::{DeliveryId, EventId, Result, Timestamp, WebhookEndpoint, WebhookError, WorkerId};

pub use self::counts::{Counts, Retention};
pub use self::documents::{Document, DocumentQuery, DocumentStore, MAX_DOCUMENT, MAX_DOCUMENTS};
pub use self::endpoints::{Deleted, EndpointRecord, Expected, Saved};
pub use self::events::{EventQuery, EventRecord, StateCounts};
pub use self::gates::{DisabledBy, GateState};
pub use self::groups::{Group, GroupBy, GroupKey, Groups, MAX_GROUPS};
pub use self::query::{
    Change, Changed, DeliveryQuery, DeliveryRecord, MAX_PAGE, Page, StatusFilter,
};
use self::spi::{
    Beat, Claim, Claimed, Commit, DeliveredEvent, EndpointChanges, EndpointGate, Enqueued,
    EventDelivery, FanOut, FanOutPart, HeldLease, NewEvent, OutboxEvent, PartPlace, Settled,
    Settlement, StatDelta, Swept,
};
pub use self::stats::{
    LATENCY_BOUNDS_MS, MAX_BUCKETS, STAT_HOURS_KEPT, STAT_MINUTES_KEPT, StatBucket, StatNumbers,
    StatQuery, StatResolution,
};
pub use self::workers::WorkerRecord;

/// Keeps endpoints, deliveries and the log of attempts.
///
/// Calls are batches, each one change that happens whole or not at all, safe to run twice. Any
/// number of callers may work on one storage at the same time. The exact meaning of every method is
/// in `docs/storage-contract.md`, and the suite of `webhooks-storage-testkit` checks it.
///
/// # Errors
///
/// Every method returns [`StorageError`](crate::WebhookError::StorageError) when the database
/// fails; [`is_transient`](crate::WebhookError::is_transient) says whether to try again, and
/// [`outcome_unknown`](crate::WebhookError::outcome_unknown) whether the call may have been carried
/// out all the same. An error is never
/// [`without_effect`](crate::WebhookError::without_effect) after effects.
#[async_trait]
pub trait WebhookStorage: Debug + Send + Sync + 'static {
    /// Inserts an endpoint or replaces the one with its id, whatever is stored:
    /// [`save_definition`](Self::save_definition) that expects nothing.
    async fn save_endpoint(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        self.save_definition(endpoint, Expected::Any)
            .await
            .map(drop)
    }

    /// Inserts an endpoint or replaces the one with its id, if what is stored is what is expected.
    /// Its gate stays as it is, but for what `enabled: true` lifts: [`DisabledBy`]. A deleted
    /// endpoint is revived with a fresh gate.
    ///
    /// A new endpoint, a revived one and one whose tenant changes begins a new
    /// [incarnation](EndpointRecord::incarnation): what waits of the one before is cancelled.
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved>;

    /// Replaces `secret` and `previous_secrets` of the endpoint with this id, and nothing else, if
    /// its definition revision is `expected`. That moves, too.
    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved>;

    /// Stores the credentials of an endpoint in another form: `secret`, `previous_secrets` and the
    /// values of `headers`, if those of `stored` are what is there; `false` if not, or if the
    /// endpoint is gone. Nobody sees it as a change: no revision moves, no gate, and no time.
    ///
    /// It is what encrypts anew (`Sealed::reencrypt`). The default refuses.
    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let _ = (stored, rewritten);
        let text = "this storage cannot store credentials in another form";
        Err(WebhookError::StorageError(text.into()).without_effect())
    }

    /// The endpoint with this id as it is stored, unless there is none or it was deleted.
    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>>;

    /// The definition of the endpoint with this id, unless there is none or it was deleted.
    ///
    /// # Errors
    ///
    /// Also when its credentials cannot be decrypted.
    async fn get_endpoint(&self, id: &str) -> Result<Option<WebhookEndpoint>> {
        let record = self.endpoint_record(id).await?;
        record.map(EndpointRecord::into_definition).transpose()
    }

    /// Deletes an endpoint, if its definition is the one that is expected, and cancels its waiting
    /// deliveries; leased ones are cancelled when they are settled as anything but delivered or
    /// dead. A tombstone stays.
    async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted>;

    /// The endpoints that changed after `revision`, deleted ones too, by growing revision, at most
    /// `limit` of them. From revision 0 it lists all.
    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges>;

    /// Changes what lets deliveries of endpoints through. Unknown endpoints are passed over.
    async fn set_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()>;

    /// Stores events with their deliveries, durably, all in one commit: one answer per event, in
    /// order. Each event is kept once, for all of its deliveries. Deliveries marked `lease` become
    /// leased to `worker` with token 1.
    ///
    /// # Errors
    ///
    /// [`Overloaded`](crate::WebhookError::Overloaded) when the storage as a whole is full; then
    /// none of the events is stored.
    async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>>;

    /// Makes further deliveries of events that are kept, as if those were sent now: one answer per
    /// delivery, in order, all in one commit.
    async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>>;

    /// Stores one part of the deliveries of an event that is for more endpoints than one call is to
    /// store, and what is needed to go on, both in one commit. The answer is `None`, and nothing is
    /// stored, if the fan-out is not there any more: it is done, or its payload was erased; or if
    /// another node has taken the event out of the outbox.
    ///
    /// The default stores the parts and nothing else: a fan-out whose sender dies does not go on.
    async fn fan_out(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        let events = std::slice::from_ref(&part.event);
        if part.place == PartPlace::FirstOfOutbox {
            let commit = self.enqueue_outbox(events, None, now).await?;
            return Ok(commit.answers.into_iter().next().flatten());
        }
        Ok(self.enqueue(events, None, now).await?.answers.pop())
    }

    /// Fan-outs that are not done and of which no part was stored since this time, in any order, at
    /// most `limit` of them. The default keeps none.
    async fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Result<Vec<FanOut>> {
        let _ = (idle_since, limit);
        Ok(Vec::new())
    }

    /// Leases ready deliveries to a worker, taking from endpoints in turn, in the order of
    /// [`sort_key`](crate::Priority::sort_key) within each. Of an endpoint with a
    /// [batch](crate::WebhookEndpoint::batch) nothing comes but poison suspects until a batch is
    /// due.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed>;

    /// What this worker has leased, by growing id, behind `after`, at most `limit` and without
    /// payloads. Empty when that was all. The default goes through the
    /// [listing](Self::deliveries) of all that anybody has leased.
    async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        walk::leases(self, worker, after, limit).await
    }

    /// Stores what came of leased deliveries, with the log of their attempts: one answer per
    /// settlement, in order. Only the holder of the current lease changes anything.
    async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>>;

    /// Says that a worker lives, takes the deliveries of dead workers back, and tells the time.
    /// Without a worker it only reads.
    ///
    /// `at` is the time to use instead of the storage's clock; only tests pass it. Deliveries of a
    /// worker that was silent for [`WORKER_DEAD_AFTER`](spi::WORKER_DEAD_AFTER), counted from the later of its last beat
    /// and the storage's own start, become ready again with one more crash, or dead as poison at
    /// the [third](spi::POISON_CRASHES). Only a worker with two beats in a row takes back.
    async fn beat(&self, worker: Option<&WorkerId>, at: Option<Timestamp>) -> Result<Beat>;

    /// Deliveries that match, newest first by id.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>>;

    /// Changes up to `limit` deliveries that match, those of an endpoint newest first by id. Those
    /// to which the change does not apply are passed over and not counted. The answer says where to
    /// go on.
    async fn change(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed>;

    /// Events that match, newest first by id.
    async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>>;

    /// How many deliveries are in each state, of one endpoint or of all.
    async fn counts(&self, endpoint_id: Option<&str>) -> Result<Counts>;

    /// The [`counts`](Self::counts) of each of these endpoints, in order. The default asks for one
    /// after the other.
    async fn counts_of(&self, endpoint_ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        let mut counts = Vec::with_capacity(endpoint_ids.len());
        for id in endpoint_ids {
            counts.push(self.counts(Some(id)).await?);
        }
        Ok(counts)
    }

    /// How many deliveries match, `at_most` at most: a storage looks no further. The query's
    /// `limit` and `before` do not count. The default goes through the
    /// [listing](Self::deliveries).
    async fn count(&self, query: &DeliveryQuery, at_most: u64) -> Result<u64> {
        walk::count(self, query, at_most).await
    }

    /// How many deliveries of those that match have these in common; the newest `at_most` are
    /// looked at. The default goes through the [listing](Self::deliveries).
    async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        walk::count_by(self, query, by, at_most).await
    }

    /// Since when the longest waiting ready delivery has been due, of those that are first in the
    /// queue of an endpoint that lets deliveries through, holds aside.
    async fn oldest_ready(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// The processes that lease deliveries and are not yet forgotten, by id.
    async fn workers(&self) -> Result<Vec<WorkerRecord>>;

    /// Adds numbers to the minutes and hours that they belong to. What a call adds is added once
    /// or, if its answer was lost, perhaps twice. The default keeps none.
    async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        let _ = deltas;
        Ok(())
    }

    /// Numbers over time, by time and endpoint; buckets in which nothing happened are left out. The
    /// default has none.
    async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        query.validate()?;
        Ok(Vec::new())
    }

    /// Where documents are kept, if this storage keeps any. The default says no.
    fn documents(&self) -> Option<&dyn DocumentStore> {
        None
    }

    /// Drops what is older than the retention and gives up what waited too long, up to `limit`
    /// rows.
    async fn sweep(&self, retention: &Retention, limit: usize, now: Timestamp) -> Result<Swept>;

    /// Events that were sent inside transactions of others and committed since, oldest first, at
    /// most `limit` of them, and no more than have this many `bytes` of data together, but for the
    /// first. They stay until [`enqueue_outbox`](Self::enqueue_outbox) takes them. An event that
    /// cannot be read is [set aside](Self::set_outbox_aside), and fails no other. The default has
    /// none.
    async fn read_outbox(&self, limit: usize, bytes: usize) -> Result<Vec<OutboxEvent>> {
        let _ = (limit, bytes);
        Ok(Vec::new())
    }

    /// Takes an event out of what [`read_outbox`](Self::read_outbox) gives, since it is refused for
    /// good for this `reason`, which is kept with it: those behind it go on, and nothing of it is
    /// lost. It comes back with a [sweep](Self::sweep) after [`OUTBOX_REST`](spi::OUTBOX_REST), in case its cause was mended.
    /// `false` if it was not in the outbox any more. The default refuses: it has no outbox.
    async fn set_outbox_aside(&self, id: EventId, reason: &str, now: Timestamp) -> Result<bool> {
        let _ = (id, reason, now);
        let text = "this storage cannot set events of an outbox aside";
        Err(WebhookError::StorageError(text.into()).without_effect())
    }

    /// As [`enqueue`](Self::enqueue), for events of the [outbox](Self::read_outbox), known by their
    /// ids, which leave it in the same commit. The answer is `None` for those that another node
    /// has taken or is taking; nothing is stored for them. An event without deliveries leaves the
    /// outbox too.
    async fn enqueue_outbox(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Option<Enqueued>>> {
        let _ = (worker, now);
        Ok(Commit::new(vec![None; events.len()]))
    }

    /// Returns when there may be work to claim; may return early. The default never does, so that
    /// only polling finds new work.
    async fn wait(&self) -> Result<()> {
        std::future::pending().await
    }

    /// Whether [`fan_out`](Self::fan_out) keeps what is needed to go on, and
    /// [`fan_outs`](Self::fan_outs) gives it. The default says no; then what fails in the middle is
    /// the sender's error.
    fn keeps_fan_outs(&self) -> bool {
        false
    }

    /// Whether [`claim`](Self::claim) keeps rate limits itself, for all processes together. The
    /// default says no; then each process keeps them on its own.
    fn limits_rate(&self) -> bool {
        false
    }
}

crate::forward_storage! { [T: WebhookStorage + ?Sized] Arc<T>, |shared| (**shared) }

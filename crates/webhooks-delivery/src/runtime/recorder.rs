//! Writes down what came of deliveries, many at a time.
//!
//! Promises: what came of a request is stored before anybody is told of it; an entry is tried until
//! it is stored, or parked where it is refused for good; gates are stored before settlements that
//! were made after them.
//!
//! It is one task, so that there is one order. Its speed is that of one call at a time, which is
//! why calls are large.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::Instrument;
use webhooks_core::storage::spi::{EndpointGate, Settled, Settlement};
use webhooks_core::{AttemptRecord, DeliveryEnd, Happening, Result, WebhookError, WebhookEvent};

use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::parked::Parked;
use super::parts::Parts;
use super::recording::Recording;
use super::retrying::Retrying;
use super::told;
use super::worker::Worker;
use crate::notice::Notice;
use crate::schedule::{Entry, LaneId, Scheduler, Written};

/// Entries of one call at most.
/// As many as a claim brings.
const BATCH: usize = 512;
/// Bytes of one call at most, but for an entry that has more.
/// Kept responses are 4 KiB each by default, so that most batches stay far below it.
const BATCH_BYTES: usize = 8 << 20;
/// A call with so many entries shows that more are about to come.
/// Less, and the wait would cost more latency than it saves calls.
const BUSY: usize = 16;
/// How long the next call then waits for them: fewer and larger calls cost the storage less.
const GATHER: Duration = Duration::from_millis(2);

/// Writes down what came of deliveries. A failed call is made again for as long as the process lives,
/// since what came of a request must not be lost; while one batch is written the next one fills.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
    pub(crate) recording: Arc<Recording>,
    /// Told when the storage does not know the lease of an outcome.
    pub(crate) leases_unknown: Arc<Notify>,
}

/// What is settled together, with whose each is.
#[derive(Debug, Default)]
struct Settlements {
    settlements: Vec<Settlement>,
    /// In the order of `settlements`.
    of_whom: Vec<(Arc<WebhookEvent>, Option<LaneId>)>,
}

impl Recorder {
    /// Writes entries down for as long as the system lives.
    pub(crate) async fn run(self) {
        let mut parked = Parked::new();
        // Kept across rests: the first batch after one says again how busy it is.
        let mut is_busy = false;
        loop {
            self.recording.rests();
            tokio::select! {
                () = self.driver.record.notified() => {}
                () = parked.is_due() => {}
            }
            // Before entries are taken out: between the two the scheduler has none, and a shut-down
            // would end here.
            self.recording.works();
            loop {
                if is_busy {
                    sleep(GATHER).await;
                }
                let take = |scheduler: &mut Scheduler, _| scheduler.take_entries(BATCH).collect();
                let mut batch: Vec<Entry> = self.driver.tell(take);
                is_busy = batch.len() >= BUSY;
                // In each round, since a batch may hold a later gate of an endpoint of which one is
                // parked.
                parked.join(&mut batch);
                if batch.is_empty() {
                    break;
                }
                self.write(batch, &mut parked).await;
                self.recording.set_parked(parked.len());
            }
        }
    }

    async fn write(&self, batch: Vec<Entry>, parked: &mut Parked) {
        let mut settlements = Settlements::default();
        let (mut gates, mut notices) = (Vec::new(), Vec::new());
        for entry in batch {
            match entry {
                Entry::Settle {
                    settlement,
                    event,
                    lane,
                } => {
                    settlements.settlements.push(settlement);
                    settlements.of_whom.push((event, lane));
                }
                Entry::Gate(gate, notice) => {
                    gates.push(gate);
                    notices.push(notice);
                }
            }
        }
        // Gates first, so that what is given back does not come out again at once.
        if !gates.is_empty() {
            self.set_gates(gates, notices, parked).await;
        }
        if !settlements.settlements.is_empty() {
            self.settle(settlements, parked).await;
        }
    }

    /// Settles deliveries, and parks what the storage refuses.
    async fn settle(&self, all: Settlements, parked: &mut Parked) {
        let (settled, has_settled_before) = self.store_settlements(&all.settlements).await;
        let written = all.settlements.iter().zip(&all.of_whom).zip(&settled);
        let written = written.map(|((settlement, (_, lane)), settled)| Written {
            settlement,
            lane: *lane,
            is_refused: settled.is_err(),
        });
        // Before notices: who is told may look at what is leased, and finds it settled.
        self.driver.tell(|scheduler, _| scheduler.settled(written));
        let all = all.settlements.into_iter().zip(all.of_whom).zip(settled);
        for ((settlement, (event, lane)), settled) in all {
            match settled {
                Ok(Settled::Applied) => self.tell(&settlement, &event),
                // The first try was carried out and its answer lost: it is no lost lease, and
                // listeners have heard nothing yet.
                Ok(Settled::Stale) if has_settled_before => self.tell(&settlement, &event),
                Ok(Settled::Stale) => {
                    self.stale(&settlement);
                    // Perhaps the storage has lost what it had acknowledged, and with it the end of
                    // other leases.
                    self.leases_unknown.notify_one();
                }
                Ok(Settled::Cancelled) => {
                    let notice = || Notice::cancelled(&settlement, &event);
                    self.driver.notices().tell(notice);
                    let end = DeliveryEnd::Cancelled(None);
                    let now = || self.worker.now();
                    told::over(self.driver.observer(), &settlement, &event, end, now);
                }
                Err(error) => {
                    let entry = Entry::Settle {
                        settlement,
                        event,
                        lane,
                    };
                    parked.keep(entry, &error);
                }
            }
        }
    }

    /// Tells of an attempt, or an end, that is stored.
    fn tell(&self, settlement: &Settlement, event: &WebhookEvent) {
        let now = || self.worker.now();
        told::settled(self.driver.observer(), settlement, event, now);
        if let Some(attempt) = &settlement.attempt {
            let notice = || Notice::of_attempt(settlement, attempt, event);
            self.driver.notices().tell(notice);
        }
    }

    /// Tells of a lease that was lost before its attempt was stored. Without an attempt nothing may have
    /// run twice.
    fn stale(&self, settlement: &Settlement) {
        if settlement.attempt.is_some() {
            tracing::warn!(
                delivery_id = %settlement.delivery_id,
                endpoint_id = %settlement.endpoint_id,
                "the lease was lost before the attempt was settled; it may run twice"
            );
            let observer = self.driver.observer();
            observer.tell(|observer| observer.happened(Happening::SettlementStale));
        }
    }

    /// What became of each settlement, or why the storage refuses it for good; and whether what is
    /// stale was settled by an earlier try whose answer was lost: the leases were held all the time.
    async fn store_settlements(&self, settlements: &[Settlement]) -> (Vec<Result<Settled>>, bool) {
        let lease_epoch = self.driver.look(|scheduler, _| scheduler.lease_epoch());
        let mut perhaps_before = false;
        let mut all = Vec::with_capacity(settlements.len());
        let mut parts = Parts::new(settlements.iter().map(weight), BATCH, BATCH_BYTES);
        let mut retrying = Retrying::new("settle deliveries");
        while let Some(part) = parts.next() {
            let some = settlements.get(part.clone()).unwrap_or_default();
            let span = tracing::debug_span!("settle", deliveries = some.len());
            let error = match self.worker.settle(some).instrument(span).await {
                Ok(settled) => {
                    self.recording.succeeded();
                    all.extend(settled.into_iter().map(Ok));
                    continue;
                }
                Err(error) => error,
            };
            // For all parts together: that a `Stale` is told as settled although it was lost needs
            // a failure of the same batch and a lease that was held all along, which excludes
            // another holder.
            perhaps_before |= error.outcome_unknown();
            if error.is_transient() {
                self.recording.failed();
                // The others wait as well: a storage that fails one call would likely fail the
                // next.
                retrying.pause(&error).await;
                parts.again(part);
            } else if !parts.split(&part) {
                // Parts come in the order of their items, so that answers do too.
                all.push(Err(error));
            }
        }
        let holds_still = |scheduler: &Scheduler, now: crate::schedule::Now| {
            scheduler.holds_leases(now.moment) && scheduler.lease_epoch() == lease_epoch
        };
        (all, perhaps_before && self.driver.look(holds_still))
    }

    /// Stores gates, tells of those that are, and parks what the storage refuses.
    async fn set_gates(
        &self,
        gates: Vec<EndpointGate>,
        notices: Vec<Option<Notice>>,
        parked: &mut Parked,
    ) {
        // Before the call: an endpoint that is read at a later revision may already show what it
        // stores.
        let since = self.endpoints.revision();
        // By place, since the same endpoint may have several changes in one batch.
        let mut refused = self.store_gates(&gates).await;
        // Ids by their place, as `gates` is taken apart below.
        let later: Vec<_> = gates.iter().map(|gate| gate.endpoint_id.clone()).collect();
        let (mut stored, mut told) = (Vec::with_capacity(gates.len()), Vec::new());
        for (n, (gate, notice)) in gates.into_iter().zip(notices).enumerate() {
            let Some(error) = refused.remove(&n) else {
                stored.push(gate);
                told.push(notice);
                continue;
            };
            let stored_later = |m: &usize| !refused.contains_key(m);
            let mut of_endpoint = (n + 1..later.len()).filter(stored_later);
            // What was decided since must not be undone by it.
            if !of_endpoint.any(|m| later.get(m) == Some(&gate.endpoint_id)) {
                parked.keep(Entry::Gate(gate, notice), &error);
            }
        }
        self.gates_stored(&stored, since).await;
        let is_void = |scheduler: &Scheduler, _| -> Vec<bool> {
            stored.iter().map(|gate| scheduler.is_void(gate)).collect()
        };
        let is_void = self.driver.look(is_void);
        for ((notice, is_void), gate) in told.into_iter().zip(is_void).zip(&stored) {
            if !is_void {
                let observer = self.driver.observer();
                observer.tell(|observer| observer.gate_changed(gate));
            }
            if let Some(notice) = notice.filter(|_| !is_void) {
                self.tell_of_gate(notice);
            }
        }
    }

    fn tell_of_gate(&self, notice: Notice) {
        if let Notice::CircuitChanged {
            endpoint_id,
            circuit,
        } = &notice
        {
            let observer = self.driver.observer();
            observer.tell(|observer| observer.circuit_changed(endpoint_id, *circuit));
        }
        self.driver.notices().tell(|| notice);
    }

    /// Those that the storage refuses for good, by their places.
    async fn store_gates(&self, gates: &[EndpointGate]) -> HashMap<usize, WebhookError> {
        let mut refused = HashMap::new();
        let mut parts = Parts::new(gates.iter().map(|_| 0), BATCH, BATCH_BYTES);
        let mut retrying = Retrying::new("change gates");
        while let Some(part) = parts.next() {
            let some = gates.get(part.clone()).unwrap_or_default();
            match self.worker.set_gates(some).await {
                Ok(()) => self.recording.succeeded(),
                Err(error) if error.is_transient() => {
                    self.recording.failed();
                    retrying.pause(&error).await;
                    parts.again(part);
                }
                Err(error) => {
                    if !parts.split(&part) {
                        refused.insert(part.start, error);
                    }
                }
            }
        }
        refused
    }

    /// Lets the scheduler take over that these gates are stored, of endpoints that were known up to
    /// the revision `since` before.
    async fn gates_stored(&self, gates: &[EndpointGate], since: u64) {
        // A page of endpoints from before the gates may still be on its way here.
        let none_is_read = self.endpoints.pause().await;
        let must_read = self
            .driver
            .tell(|scheduler, _| scheduler.gates_stored(gates, since));
        drop(none_is_read);
        // If the read fails, the hold stays as it was decided until a beat reads the endpoint: too
        // long rather than too short.
        if must_read && self.endpoints.try_refresh().await {
            self.driver.tell(|scheduler, _| scheduler.gates_read(gates));
        }
    }
}

/// What a settlement takes of a call, in bytes: nearly all of it is what is kept of the response.
fn weight(settlement: &Settlement) -> usize {
    let response = |attempt: &AttemptRecord| {
        let headers = attempt.response_headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.len());
        attempt.response.len() + headers.sum::<usize>()
    };
    size_of::<Settlement>() + settlement.attempt.as_ref().map_or(0, response)
}

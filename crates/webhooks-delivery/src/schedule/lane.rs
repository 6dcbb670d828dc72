//! One endpoint, as this process delivers to it.
//!
//! A lane is plain state, with the questions that can be answered from it alone. What concerns
//! several lanes (slots, turns, totals) is decided by the [`Scheduler`](super::Scheduler), which
//! also keeps the lane's `counted` and `queued` in step with the totals and queues.

use std::sync::Arc;
use std::time::{Duration, Instant};

use webhooks_core::storage::EndpointRecord;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::{
    BatchConfig, EventFilter, KeptEndpoint, RateLimitConfig, Timestamp, WebhookDelivery,
};

use super::health::Health;
use super::hold::Hold;
use super::in_flight::InFlight;
use super::kind::Kind;
use super::lane_id::LaneId;
use super::pace::Pace;
use super::tenants::TenantId;
use super::waiting::Waiting;
use crate::metrics::AttemptCounter;

/// One endpoint, as this process delivers to it: what it has leased of the endpoint's queue, what is
/// in flight, and how the endpoint does.
///
/// Each incarnation of an endpoint has a lane of its own, so that nothing made for one can start at
/// another.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) endpoint_id: Arc<str>,
    /// Never changes: another incarnation is another lane.
    pub(super) incarnation: u64,
    pub(super) record: Arc<EndpointRecord>,
    /// The endpoint's filters.
    /// Parsed once per definition, since each delivery that a claim brings is compared with them.
    filters: Vec<EventFilter>,
    /// Whose requests count together with its own, if it has a tenant.
    pub(super) tenant: Option<TenantId>,
    /// Leased here and not started.
    pub(super) waiting: Waiting,
    pub(super) in_flight: InFlight,
    /// Asked before each start, besides the gate of `record`.
    pub(super) hold: Hold,
    pub(super) health: Health,
    pub(super) pace: Pace,
    /// Of this incarnation, since the process started.
    pub(super) attempts: AttemptCounter,
    /// What this process knows of the endpoint's health is void, and admission was not told yet: the
    /// endpoint was deleted, went to another place or was reset by hand.
    begins_anew: bool,
    /// What the endpoint was when it went, and its requests in flight were counted as left running.
    pub(super) left: Option<Arc<KeptEndpoint>>,
    /// The number of its last start among those of all lanes; 0 before the first.
    pub(super) last_start: u64,
    pub(super) counted: Counted,
    pub(super) queued: Queued,
}

/// What of a lane is counted in totals. Each number is changed together with its total, by who keeps
/// that.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Deliveries leased to this process and not settled: on the way into the storage, waiting, in
    /// flight, and on the way to their settlement.
    pub(super) leased: usize,
    /// Requests that carry as much.
    pub(super) requests: usize,
    /// Of the leased, those on the way into the storage.
    pub(super) reserved: usize,
    /// Requests in flight or reserved while the endpoint is unproven.
    pub(super) unproven: usize,
    /// The same while it has a longer timeout than the system's.
    pub(super) patient: usize,
}

/// In which queues of lanes a lane stands, in each at most once.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// It has something to start.
    pub(super) for_turn: bool,
    /// It waits for other lanes of this kind to end a request.
    pub(super) stalled: Option<Kind>,
    /// It waits for another lane of its tenant to end a request.
    pub(super) for_share: bool,
    /// The storage has more of it that is ready, as far as this process knows.
    pub(super) backlogged: bool,
    /// A claim asked for nothing of it since it was full: the storage may have more of it, and what
    /// makes room in it looks for that.
    pub(super) passed_over: bool,
}

impl Lane {
    pub(super) fn new(id: LaneId, record: Arc<EndpointRecord>, tenant: Option<TenantId>) -> Self {
        Self {
            id,
            endpoint_id: record.endpoint.id.as_str().into(),
            incarnation: record.incarnation,
            filters: filters(&record),
            tenant,
            waiting: Waiting::default(),
            in_flight: InFlight::default(),
            hold: Hold::read(record.gate.held_until),
            health: Health::read(&record.gate),
            pace: Pace::new(),
            attempts: AttemptCounter::default(),
            record,
            begins_anew: false,
            left: None,
            last_start: 0,
            counted: Counted::default(),
            queued: Queued::default(),
        }
    }

    /// Whether the storage may have more of it than was claimed; of what a claim left out this is said
    /// once, since the next claim asks.
    pub(super) fn has_more(&mut self) -> bool {
        let passed_over = std::mem::take(&mut self.queued.passed_over);
        passed_over || self.queued.backlogged
    }

    pub(super) fn filters(&self) -> &[EventFilter] {
        &self.filters
    }

    /// Takes over what the storage has. Returns whether the endpoint is gone since then, and its
    /// requests in flight are left running.
    pub(super) fn set_record(&mut self, record: Arc<EndpointRecord>) -> bool {
        let leaves = record.deleted && self.left.is_none();
        if leaves {
            // From now on none starts here.
            self.left = Some(self.record.endpoint.clone());
        }
        // What piled up while the endpoint was closed must not come down on it at once.
        if !self.record.is_open() && record.is_open() {
            self.pace.start_from(1);
        }
        let has_moved = record.deleted || self.record.endpoint.url != record.endpoint.url;
        // Another URL is another receiver: circuit, holds and window were about the one of before.
        if has_moved || self.record.gate.epoch != record.gate.epoch {
            self.begin_anew();
        }
        self.hold.set_stored(record.gate.held_until);
        self.health.set_stored(record.gate.failing_since);
        // Of what waits or runs at a deleted one the storage says that it is cancelled, and why.
        if !record.deleted {
            self.filters = filters(&record);
        }
        self.record = record;
        leaves
    }

    /// The record of an endpoint whose id another has now: nothing of this one may go any more.
    pub(super) fn retired_record(&self) -> Arc<EndpointRecord> {
        let mut record = EndpointRecord::clone(&self.record);
        record.deleted = true;
        Arc::new(record)
    }

    /// Drops what this process has decided by what the endpoint answered before.
    fn begin_anew(&mut self) {
        self.begins_anew = true;
        self.hold.forget_decided();
        self.health.forget_success();
        self.pace.start_from(1);
    }

    /// Whether admission is to forget the endpoint before it is asked again.
    pub(super) const fn take_begins_anew(&mut self) -> bool {
        std::mem::replace(&mut self.begins_anew, false)
    }

    /// Whether deliveries may go at `now`.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.record.is_open() && self.hold.is_over(now)
    }

    /// Whether nothing of it will ever happen again.
    ///
    /// Leases count as well as requests: a settlement that is on its way names this lane, and takes
    /// its count off the totals.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_some() && self.counted.leased == 0 && self.in_flight.len() == 0
    }

    /// Whether the endpoint takes this delivery: by its filters, unless it was sent to it by name.
    pub(super) fn takes(&self, delivery: &WebhookDelivery) -> bool {
        takes(&self.filters, delivery)
    }

    /// Takes out what waits though the endpoint no longer takes it.
    pub(super) fn take_not_taken(&mut self) -> Vec<WebhookDelivery> {
        if self.waiting.iter().all(|delivery| self.takes(delivery)) {
            return Vec::new();
        }
        // Lent out for the moment, as `waiting` and `filters` are borrowed at once.
        let filters = std::mem::take(&mut self.filters);
        let not_taken = self.waiting.take_if(|delivery| !takes(&filters, delivery));
        self.filters = filters;
        not_taken
    }

    /// Whether what was decided in this epoch still counts.
    pub(super) fn is_in(&self, epoch: Option<u64>) -> bool {
        epoch.is_none_or(|epoch| epoch >= self.record.gate.epoch)
    }

    /// Whether the endpoint is still where a request went when it `was` so, and nobody has reset its health since:
    /// what another place answers, or has answered before that, says nothing of it.
    pub(super) fn is_where(&self, was: &EndpointRecord) -> bool {
        let record = &self.record;
        !record.deleted
            && record.endpoint.url == was.endpoint.url
            && record.gate.epoch == was.gate.epoch
    }

    /// Whether the endpoint may turn out to hold requests for long: it had no recent success, or
    /// its oldest request has run over a second.
    pub(super) fn is_unproven(&self, now: Instant) -> bool {
        !self.pace.is_proven(now) || self.in_flight.is_slow(now)
    }

    /// Whether the endpoint may hold requests for longer than the system's timeout; once it is gone,
    /// whether it could: of a deleted one the record says nothing.
    pub(super) fn is_patient(&self, timeout: Duration) -> bool {
        let endpoint = self.left.as_ref().unwrap_or(&self.record.endpoint);
        endpoint.timeout_seconds > timeout.as_secs()
    }

    /// The rate limit that applies, the endpoint's own or the system's.
    pub(super) fn rate_limit(&self, system: Option<RateLimitConfig>) -> Option<RateLimitConfig> {
        self.record.endpoint.rate_limit.or(system)
    }

    /// How the endpoint's deliveries go in batches, if they do.
    pub(super) fn batch(&self) -> Option<BatchConfig> {
        self.record.endpoint.batch
    }

    /// Deliveries that one request carries at most.
    pub(super) fn per_request(&self) -> usize {
        self.batch()
            .map_or(1, |batch| batch.max_events.max(1) as usize)
    }

    /// What may be leased at most now, of an endpoint that has so many requests in flight at most:
    /// two batches, or as deep as the endpoint is quick.
    pub(super) fn most_leased(&self, per_endpoint: usize) -> usize {
        match self.batch() {
            Some(_) => 2 * self.per_request(),
            None => self.pace.depth() * per_endpoint,
        }
    }

    /// When what goes back to the storage is due, to be claimed from `at` on: it was let out, and
    /// does not wait for another batch.
    pub(super) fn due_again(&self, at: Timestamp) -> Timestamp {
        let wait = self.batch().map_or(0, |batch| batch.max_wait_ms);
        at.before(Duration::from_millis(wait))
    }

    /// A change of the endpoint's gate, by what this process has seen in the epoch that it knows: the
    /// storage passes over what is of an earlier one.
    pub(super) fn gate_change(&self, change: GateChange) -> EndpointGate {
        EndpointGate {
            endpoint_id: self.endpoint_id.clone(),
            epoch: Some(self.record.gate.epoch),
            change,
        }
    }
}

/// What is stored was validated; filters that a later version knows match nothing here.
fn filters(record: &EndpointRecord) -> Vec<EventFilter> {
    record.endpoint.filters().unwrap_or_default()
}

fn takes(filters: &[EventFilter], delivery: &WebhookDelivery) -> bool {
    let matches = |filter: &EventFilter| filter.matches(&delivery.event.event_type);
    delivery.by_name || filters.iter().any(matches)
}

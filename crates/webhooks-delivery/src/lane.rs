//! One endpoint, as this process delivers to it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use webhooks_core::storage::EndpointRecord;
use webhooks_core::{EventFilter, KeptEndpoint, RateLimitConfig, Timestamp, WebhookDelivery};

use crate::left_running::LeftRunning;
use crate::metrics::AttemptCounter;
use crate::tenant_share::TenantShare;

/// A success this long ago no longer shows that the endpoint is well.
const RECENT: Duration = Duration::from_secs(60);
/// How much the times may differ that two processes read at the same moment. A failure that came so
/// short after a success does not begin the time of failing: the next one does.
const SKEW: Duration = Duration::from_secs(1);
/// A request that has run this long shows that the endpoint is slow.
const SLOW: Duration = Duration::from_secs(1);

/// A request that ended within this time shows that the endpoint is quick.
const QUICK: Duration = Duration::from_millis(100);

/// How long a lane pauses after a request that could not be tried; twice as long each time, at most:
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One endpoint, as this process delivers to it: what it has in hand of the endpoint's queue, what
/// is in flight, and how the endpoint does.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) endpoint_id: Arc<str>,
    /// Which endpoint of this id it is. Another one has another lane, so that nothing of one is ever
    /// sent to the other.
    pub(crate) incarnation: u64,
    number: u64,
    /// It waits for other unproven lanes to end a request.
    pub(crate) is_stalled: AtomicBool,
    /// What its tenant's lanes have in flight together, if it has a tenant.
    pub(crate) tenant_share: Option<Arc<TenantShare<Self>>>,
    /// It waits for another lane of its tenant to end a request.
    pub(crate) awaits_share: AtomicBool,
    state: Mutex<LaneState>,
}

/// See [`Lane`].
#[derive(Debug)]
pub(crate) struct LaneState {
    pub(crate) record: Arc<EndpointRecord>,
    /// The endpoint's filters.
    filters: Vec<EventFilter>,
    /// The endpoint was deleted, went to another place or was reset by hand, which nobody has acted
    /// on yet: what this process knows of its health counts no more.
    pub(crate) begins_anew: bool,
    /// An endpoint that failed elsewhere has had a success here since.
    pub(crate) has_recovered: bool,
    /// Leased to this process and not started, in the order of their turn.
    pub(crate) waiting: VecDeque<WebhookDelivery>,
    /// The poison suspect that this process holds, if it is one of this lane's: the next to start.
    pub(crate) suspect: Option<WebhookDelivery>,
    /// The next so many go one by one, because a batch with them was refused; also when they were
    /// given back meanwhile, or a batch of the same would be refused again.
    pub(crate) alone: usize,
    /// Requests in flight, the oldest first.
    pub(crate) running: VecDeque<Running>,
    /// Places for what is on its way into the storage.
    pub(crate) reserved: usize,
    /// Leased to this process and not settled: waiting, in flight, and on the way to the storage.
    pub(crate) in_hand: usize,
    /// Requests that carry as much, as the hand counts them.
    pub(crate) loads: usize,
    /// The storage has more that is ready, as far as this process knows.
    pub(crate) backlog: bool,
    /// The lane has its place among those whose turn comes.
    pub(crate) in_turns: bool,
    /// Requests in flight at most; grows with each success after a standstill.
    pub(crate) window: usize,
    /// Nothing starts before this time, as this process has decided and not yet stored: what is
    /// read from the storage meanwhile does not know of it.
    unstored_hold: Option<Timestamp>,
    /// Nothing starts before this time, as it is stored.
    held_until: Option<Timestamp>,
    /// What this lane adds to the dispatcher's count of unproven requests.
    pub(crate) unproven: usize,
    /// What it adds to the count of requests at endpoints with a longer timeout.
    pub(crate) patient: usize,
    /// What the endpoint was when it went, and its requests in flight were counted as left running.
    left: Option<Arc<KeptEndpoint>>,
    /// Since when all attempts failed, as far as this process has seen or read.
    pub(crate) failing_since: Option<Timestamp>,
    /// The storage's time of the last success here, in this epoch.
    pub(crate) succeeded_at: Option<Timestamp>,
    /// The operator was warned that the endpoint will be disabled.
    pub(crate) warned: bool,
    pub(crate) attempts: AttemptCounter,
    last_success: Option<Instant>,
    /// The last request was a success, and a quick one.
    is_quick: bool,
    started: u64,
    /// The last so many requests could not be tried.
    untried: u32,
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: u64,
    pub(crate) started: Instant,
    pub(crate) task: AbortHandle,
}

impl Lane {
    pub(crate) fn new(
        number: u64,
        endpoint_id: Arc<str>,
        record: Arc<EndpointRecord>,
        tenant_share: Option<Arc<TenantShare<Self>>>,
    ) -> Self {
        let incarnation = record.incarnation;
        let state = LaneState {
            filters: filters(&record),
            failing_since: record.gate.failing_since,
            held_until: record.gate.held_until,
            unstored_hold: None,
            record,
            begins_anew: false,
            has_recovered: false,
            waiting: VecDeque::new(),
            suspect: None,
            alone: 0,
            running: VecDeque::new(),
            reserved: 0,
            in_hand: 0,
            loads: 0,
            backlog: false,
            in_turns: false,
            window: usize::MAX,
            unproven: 0,
            patient: 0,
            left: None,
            succeeded_at: None,
            warned: false,
            attempts: AttemptCounter::default(),
            last_success: None,
            is_quick: false,
            started: 0,
            untried: 0,
        };
        Self {
            endpoint_id,
            incarnation,
            number,
            is_stalled: AtomicBool::new(false),
            tenant_share,
            awaits_share: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Tells lanes apart; never used again.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> Arc<EndpointRecord> {
        self.lock().record.clone()
    }

    /// Takes over what the storage has.
    pub(crate) fn set_record(&self, record: Arc<EndpointRecord>, left_running: &LeftRunning) {
        let mut state = self.lock();
        if record.deleted && state.left.is_none() {
            // From now on none starts here.
            let endpoint = state.record.endpoint.clone();
            left_running.add(&endpoint, state.in_flight());
            state.left = Some(endpoint);
        }
        if !state.record.is_open() && record.is_open() {
            state.start_from(1);
        }
        let has_moved = record.deleted || state.record.endpoint.url != record.endpoint.url;
        if has_moved || state.record.gate.epoch != record.gate.epoch {
            state.begin_anew();
        }
        state.held_until = record.gate.held_until;
        state.read_failing_since(record.gate.failing_since);
        if state.failing_since.is_none() {
            state.warned = false;
        }
        state.filters = filters(&record);
        state.record = record;
    }

    /// Another endpoint has the id now: nothing of this one may go any more.
    pub(crate) fn retire(&self, left_running: &LeftRunning) {
        let record = EndpointRecord {
            deleted: true,
            ..EndpointRecord::clone(&self.record())
        };
        self.set_record(Arc::new(record), left_running);
    }
}

impl LaneState {
    /// Whether deliveries may go at `now`.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.record.is_open() && self.held_until.max(self.unstored_hold) <= Some(now)
    }

    /// Whether the endpoint takes this delivery: by its filters, unless it was sent to it by name.
    pub(crate) fn takes(&self, delivery: &WebhookDelivery) -> bool {
        let matches = |filter: &EventFilter| filter.matches(&delivery.event.event_type);
        delivery.by_name || self.filters.iter().any(matches)
    }

    /// Drops what this process has decided by how the endpoint responded before.
    fn begin_anew(&mut self) {
        self.begins_anew = true;
        self.unstored_hold = None;
        self.succeeded_at = None;
        self.start_from(1);
    }

    /// Takes over since when the endpoint has failed, by what all processes have seen. One that has
    /// had a success since, and did not know that it ended something, ends it now.
    fn read_failing_since(&mut self, since: Option<Timestamp>) {
        let is_news = since.is_some() && since != self.failing_since;
        let succeeded = self.succeeded_at.map(|at| at.after(SKEW));
        self.has_recovered = is_news && since <= succeeded;
        self.failing_since = since;
    }

    /// Lets nothing start before this time; to be stored.
    pub(crate) fn hold(&mut self, until: Timestamp) {
        self.unstored_hold = self.unstored_hold.max(Some(until));
    }

    /// What this process has decided is stored, and not read yet; `until` when, if that is how
    /// long it holds.
    pub(crate) fn was_stored(&mut self, until: Option<Timestamp>) {
        self.held_until = self.held_until.max(until);
        self.was_read(until);
    }

    /// Whether what was decided in this epoch still counts.
    pub(crate) fn is_in(&self, epoch: Option<u64>) -> bool {
        epoch.is_none_or(|epoch| epoch >= self.record.gate.epoch)
    }

    /// What this process has decided is stored, and was read since.
    pub(crate) fn was_read(&mut self, until: Option<Timestamp>) {
        if until.is_none() || self.unstored_hold <= until {
            self.unstored_hold = None;
        }
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Puts a delivery among those that wait, in its order.
    pub(crate) fn wait_in_order(&mut self, delivery: WebhookDelivery) {
        let key = |d: &WebhookDelivery| d.priority.sort_key(d.event.created_at);
        let own = key(&delivery);
        let place = self.waiting.iter().rposition(|other| key(other) <= own);
        self.waiting.insert(place.map_or(0, |n| n + 1), delivery);
    }

    /// The rate limit that applies, the endpoint's own or the system's.
    pub(crate) fn rate_limit(&self, system: Option<RateLimitConfig>) -> Option<RateLimitConfig> {
        self.record.endpoint.rate_limit.or(system)
    }

    /// Lets so many requests be in flight at a time, and one more with every success, so that a
    /// backlog does not come down on the endpoint as a herd.
    pub(crate) fn start_from(&mut self, requests: u32) {
        self.window = usize::try_from(requests).unwrap_or(usize::MAX);
    }

    /// Whether the endpoint may turn out to hold requests for long: it had no recent success, or
    /// its oldest request has run over a second.
    pub(crate) fn is_unproven(&self, now: Instant) -> bool {
        let recent = self
            .last_success
            .is_some_and(|at| now.duration_since(at) < RECENT);
        let slow = self
            .running
            .front()
            .is_some_and(|r| now.duration_since(r.started) > SLOW);
        !recent || slow
    }

    /// Whether the endpoint may hold requests for longer than the system's timeout.
    pub(crate) fn is_patient(&self, timeout: Duration) -> bool {
        self.record.endpoint.timeout_seconds > timeout.as_secs()
    }

    /// The endpoint that is gone and whose requests were counted as left running.
    pub(crate) fn left(&self) -> Option<&KeptEndpoint> {
        self.left.as_deref()
    }

    /// What may be in hand, in times of what may be in flight: twice, so that the next request
    /// starts while more is claimed, and more of an endpoint that is quick, so that few claims
    /// bring much; of one that is not, others may have use for it.
    pub(crate) const fn depth(&self) -> usize {
        if self.is_quick { 8 } else { 2 }
    }

    /// The number for a request that starts now.
    pub(crate) const fn next_request(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    pub(crate) fn started(&mut self, running: Running) {
        self.running.push_back(running);
    }

    /// How long to pause after one more request that could not be tried.
    pub(crate) fn untried(&mut self) -> Duration {
        let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(self.untried));
        self.untried = self.untried.saturating_add(1);
        doubled.min(MAX_PAUSE)
    }

    /// A request was tried.
    pub(crate) const fn tried(&mut self) {
        self.untried = 0;
    }

    /// Ends a request; whether the endpoint took it. The task is free for another.
    pub(crate) fn ended(&mut self, id: u64, delivered: bool, now: Instant) -> Option<AbortHandle> {
        let place = self.running.binary_search_by_key(&id, |running| running.id);
        let ended = place.ok().and_then(|place| self.running.remove(place));
        let quick = |r: &Running| now.duration_since(r.started) < QUICK;
        self.is_quick = delivered && ended.as_ref().is_some_and(quick);
        if delivered {
            self.last_success = Some(now);
            self.window = self.window.saturating_add(1);
        }
        ended.map(|running| running.task)
    }

    /// Whether something is leased to this process and not started.
    pub(crate) fn has_waiting(&self) -> bool {
        self.suspect.is_some() || !self.waiting.is_empty()
    }

    /// Everything that waits, to be given back.
    pub(crate) fn take_waiting(&mut self) -> impl Iterator<Item = WebhookDelivery> + use<> {
        let waiting = std::mem::take(&mut self.waiting);
        self.suspect.take().into_iter().chain(waiting)
    }

    /// Deliveries that one request carries at most.
    pub(crate) fn per_load(&self) -> usize {
        let batch = self.record.endpoint.batch;
        batch.map_or(1, |batch| batch.max_events.max(1) as usize)
    }

    /// Whether the deliveries of the endpoint go in batches.
    pub(crate) fn batches(&self) -> bool {
        self.record.endpoint.batch.is_some()
    }
}

/// What is stored was validated; filters that a later version knows match nothing here.
fn filters(record: &EndpointRecord) -> Vec<EventFilter> {
    record.endpoint.filters().unwrap_or_default()
}

/// A lane as a key: lanes are the same if their number is.
#[derive(Clone, Debug)]
pub(crate) struct LaneRef(pub(crate) Arc<Lane>);

impl PartialEq for LaneRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for LaneRef {}

impl PartialOrd for LaneRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LaneRef {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.number.cmp(&other.0.number)
    }
}

//! Takes deliveries from their lanes in turn and starts their requests.
//!
//! One endpoint never hurts another: a lane has its own cap of requests in flight, lanes have
//! their turns one request each, and endpoints that may hold their requests for long have at most
//! half of the total together.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use webhooks_core::storage::{
    EndpointGate, GateChange, Room, SettleAs, Settlement, WebhookStorage,
};
use webhooks_core::{
    Admission, Clock, Gate, HeldBy, Permit, RateLimitConfig, Result, Timestamp, Transport,
    WebhookDelivery, WorkerId,
};

use crate::attempt::Attempting;
use crate::clock::StorageClock;
use crate::directory::Directory;
use crate::heartbeat::Heartbeat;
use crate::lane::{Lane, LaneState};
use crate::load::{Load, Next};
use crate::notice::Notices;
use crate::recorder::{Entry, Recorder};
use crate::retrying::error_source;
use crate::settings::Settings;
use crate::suspects::Suspects;

/// How long a suspect delivery that cannot start goes back for.
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) clock: Arc<StorageClock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) notices: Notices,
    pub(crate) recorder: Recorder,
    pub(crate) worker: WorkerId,
    pub(crate) settings: Settings,
    /// The delivery in hand whose holders died twice.
    pub(crate) suspects: Mutex<Suspects>,
    /// Requests in flight or about to be.
    in_flight: AtomicUsize,
    /// Those of them at doubtful endpoints.
    doubtful: AtomicUsize,
    /// Deliveries leased to this process and not settled.
    in_hand: AtomicUsize,
    /// Lanes with something in hand, by their number.
    active: Mutex<HashMap<u64, Arc<Lane>>>,
    /// Lanes whose turn comes.
    turns: Mutex<VecDeque<Arc<Lane>>>,
    /// Doubtful lanes that wait for others of their kind to end a request.
    stalled: Mutex<VecDeque<Arc<Lane>>>,
    /// Lanes of which the storage has more that is ready.
    backlogged: Mutex<Vec<Arc<Lane>>>,
    /// There may be something to claim, or room for it.
    work: Notify,
    /// There may be something in the outbox.
    outbox: Notify,
    /// Claims on their way.
    claims: AtomicUsize,
    stopping: AtomicBool,
    stopped: Notify,
}

/// What came of a lane's turn.
enum Turn {
    /// It started a request and may start another.
    Again,
    /// It has nothing to start, or must wait for a request of its own to end.
    Over,
    /// It must wait for another doubtful lane to end a request.
    Stalled,
    /// Nothing can start at the moment.
    Stop,
}

/// What a dispatcher works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) clock: Arc<StorageClock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) recorder: Recorder,
    pub(crate) worker: WorkerId,
    pub(crate) settings: Settings,
}

impl Dispatcher {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            storage: parts.storage,
            transport: parts.transport,
            gate: parts.gate,
            clock: parts.clock,
            directory: parts.directory,
            heartbeat: Heartbeat::new(),
            notices: Notices::new(),
            recorder: parts.recorder,
            worker: parts.worker,
            settings: parts.settings,
            suspects: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            doubtful: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            active: Mutex::default(),
            turns: Mutex::default(),
            stalled: Mutex::default(),
            backlogged: Mutex::default(),
            work: Notify::new(),
            outbox: Notify::new(),
            claims: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            stopped: Notify::new(),
        }
    }

    /// Takes claimed deliveries of a lane in hand; they start when their turn comes.
    pub(crate) fn accept(&self, lane: &Arc<Lane>, deliveries: Vec<WebhookDelivery>) {
        let now = Instant::now();
        let mut state = lane.lock();
        self.add_to_hand(lane, &mut state, deliveries.len());
        state.waiting.extend(deliveries);
        state.filling_since.get_or_insert(now);
        self.take_turn(lane, &mut state);
    }

    /// Counts one delivery as in hand that has no place in its lane.
    pub(crate) fn take_in_hand(&self, lane: &Arc<Lane>) {
        self.add_to_hand(lane, &mut lane.lock(), 1);
    }

    /// Starts what can start.
    pub(crate) fn dispatch(self: &Arc<Self>) {
        loop {
            let Some(lane) = lock(&self.turns).pop_front() else {
                return;
            };
            let mut state = lane.lock();
            state.in_turns = false;
            match self.start_next(&lane, &mut state) {
                Turn::Again => self.take_turn(&lane, &mut state),
                Turn::Over => {}
                Turn::Stalled => {
                    state.in_turns = true;
                    lock(&self.stalled).push_back(lane.clone());
                }
                Turn::Stop => {
                    state.in_turns = true;
                    lock(&self.turns).push_front(lane.clone());
                    // A slot that became free just now saw no lane to start.
                    if !self.can_start() || self.is_full() {
                        return;
                    }
                }
            }
        }
    }

    /// Reserves the start of one request for a delivery that is about to be stored, so that it
    /// goes out without a claim. Not when others of its endpoint wait, which have their turn.
    pub(crate) fn reserve(self: &Arc<Self>, lane: &Arc<Lane>) -> Option<Reservation> {
        let mut state = lane.lock();
        let now = self.clock.now();
        let idle = state.waiting.is_empty() && !state.backlog && !state.batches();
        let limit = self.own_rate_limit(&state);
        let limited_elsewhere = limit.is_some() && self.storage.limits_rate();
        let free = state.record.gate.max_leased.is_none() && state.is_open(now);
        let allowed = idle && free && !limited_elsewhere && self.can_start();
        if !allowed || self.obstacle(&state).is_some() || !self.take_slot() {
            return None;
        }
        match self.gate.admit(&lane.endpoint_id, limit, now) {
            Admission::Go(permit) => {
                state.reserved += 1;
                self.add_to_hand(lane, &mut state, 1);
                self.recount(&mut state);
                Some(Reservation {
                    dispatcher: self.clone(),
                    lane: lane.clone(),
                    permit: Some(permit),
                    era: self.heartbeat.era(),
                })
            }
            Admission::Wait { .. } => {
                self.in_flight.fetch_sub(1, Ordering::SeqCst);
                None
            }
        }
    }

    /// Gives everything that waits in a lane back to the storage, due at `at`.
    pub(crate) fn give_back(&self, lane: &Arc<Lane>, state: &mut LaneState, at: Timestamp) {
        for delivery in state.take_waiting() {
            self.release(Some(lane), &delivery, at);
        }
    }

    /// Gives one delivery back to the storage, not counted, due at `at`.
    pub(crate) fn release(
        &self,
        lane: Option<&Arc<Lane>>,
        delivery: &WebhookDelivery,
        at: Timestamp,
    ) {
        let Some(lease) = &delivery.lease else { return };
        self.recorder.record(Entry::Settle {
            settlement: Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id.clone(),
                token: lease.token,
                settle_as: SettleAs::Release { at },
                attempt: None,
            },
            lane: lane.cloned(),
            notice: None,
        });
    }

    /// Reads changed endpoints and acts on them.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let changed = self.directory.refresh(&*self.storage).await?;
        changed.iter().for_each(|lane| self.endpoint_changed(lane));
        Ok(())
    }

    /// As [`refresh`](Self::refresh); a failure is logged, and the next beat tries again.
    pub(crate) async fn try_refresh(self: &Arc<Self>) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, source = error_source(&error), "cannot read endpoints");
        }
    }

    /// Acts on a changed endpoint: what it had in hand goes back if it may not go now.
    pub(crate) fn endpoint_changed(self: &Arc<Self>, lane: &Arc<Lane>) {
        self.transport.forget(&lane.endpoint_id);
        let now = self.clock.now();
        let mut state = lane.lock();
        if !state.is_open(now) {
            self.give_back(lane, &mut state, now);
        }
        drop(state);
        self.dispatch();
        self.look_for_work();
    }

    /// Counts the doubtful requests anew, since time alone makes an endpoint slow, and wakes what
    /// waited for that.
    pub(crate) fn tick(self: &Arc<Self>) {
        let active: Vec<_> = lock(&self.active).values().cloned().collect();
        for lane in active {
            self.recount(&mut lane.lock());
        }
        self.unstall();
        self.dispatch();
    }

    /// Ends the accounting of one request.
    pub(crate) fn slot_freed(self: &Arc<Self>, lane: &Arc<Lane>, state: &mut LaneState) {
        self.recount(state);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !state.waiting.is_empty() {
            self.take_turn(lane, state);
        }
        let cap = self.settings.max_in_flight_per_endpoint;
        if state.backlog && state.waiting.len() <= cap / 4 {
            self.look_for_work();
        }
    }

    /// Deliveries of this lane were settled.
    pub(crate) fn out_of_hand(&self, lane: &Arc<Lane>) {
        let mut state = lane.lock();
        state.in_hand -= 1;
        if state.in_hand == 0 {
            lock(&self.active).remove(&lane.number());
        }
        drop(state);
        self.in_hand.fetch_sub(1, Ordering::SeqCst);
    }

    fn add_to_hand(&self, lane: &Arc<Lane>, state: &mut LaneState, count: usize) {
        if state.in_hand == 0 && count > 0 {
            lock(&self.active).insert(lane.number(), lane.clone());
        }
        state.in_hand += count;
        self.in_hand.fetch_add(count, Ordering::SeqCst);
    }

    /// Deliveries that can be claimed, and the lanes that differ from what any lane can take.
    pub(crate) fn room(&self) -> (usize, Vec<Room>) {
        let most = self.settings.max_in_flight * 4;
        let limit = most.saturating_sub(self.in_hand.load(Ordering::SeqCst));
        let now = self.clock.now();
        let active: Vec<_> = lock(&self.active).values().cloned().collect();
        let room = |lane: Arc<Lane>| {
            let state = lane.lock();
            // A lane that waits for its kind would only fill the hand.
            let stalled = self.doubtful_is_full() && state.is_doubtful(Instant::now());
            let most = match state.is_open(now) && !stalled {
                true => self.per_lane(&state),
                false => 0,
            };
            Room {
                endpoint_id: lane.endpoint_id.clone(),
                deliveries: most.saturating_sub(state.in_hand),
            }
        };
        (limit, active.into_iter().map(room).collect())
    }

    /// What one lane has in hand at most: as much again as is in flight, so that the next request
    /// starts while more is claimed.
    fn per_lane(&self, state: &LaneState) -> usize {
        match state.record.endpoint.batch {
            Some(batch) => 2 * batch.max_events as usize,
            None => 2 * self.settings.max_in_flight_per_endpoint,
        }
    }

    /// The storage has more of this lane than it has in hand.
    pub(crate) fn has_backlog(&self, lane: &Arc<Lane>) {
        if !std::mem::replace(&mut lane.lock().backlog, true) {
            lock(&self.backlogged).push(lane.clone());
        }
    }

    /// A claim with this room found all there was: only lanes without room may have more.
    pub(crate) fn backlog_ends(&self, room: &[Room]) {
        let left_out: HashSet<_> = room
            .iter()
            .filter(|room| room.deliveries == 0)
            .map(|room| &room.endpoint_id)
            .collect();
        lock(&self.backlogged).retain(|lane| {
            let backlog = left_out.contains(&lane.endpoint_id);
            lane.lock().backlog = backlog;
            backlog
        });
    }

    /// Wakes a claimer.
    pub(crate) fn look_for_work(&self) {
        self.work.notify_one();
    }

    pub(crate) async fn work_appeared(&self) {
        self.work.notified().await;
    }

    /// Has the outbox emptied.
    pub(crate) fn look_into_outbox(&self) {
        self.outbox.notify_one();
    }

    pub(crate) async fn outbox_filled(&self) {
        self.outbox.notified().await;
    }

    /// Requests in flight or about to be.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Deliveries leased to this process and not settled.
    pub(crate) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::SeqCst)
    }

    /// Starts nothing from now on, and gives back what waits.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.stopped.notify_waiters();
        self.give_all_back();
    }

    /// The leases of this process are gone: nothing that it has in hand may start.
    pub(crate) fn leases_lost(&self) {
        self.heartbeat.leases_lost();
        self.give_all_back();
    }

    fn give_all_back(&self) {
        let now = self.clock.now();
        let active: Vec<_> = lock(&self.active).values().cloned().collect();
        for lane in active {
            self.give_back(&lane, &mut lane.lock(), now);
        }
        let suspect = lock(&self.suspects).run();
        if let Some((lane, delivery)) = suspect {
            self.release(Some(&lane), &delivery, now);
            lock(&self.suspects).ended();
        }
    }

    /// Ends all requests in flight; they count as not started.
    pub(crate) fn abort(&self) {
        let active: Vec<_> = lock(&self.active).values().cloned().collect();
        for lane in active {
            lane.lock()
                .running
                .iter()
                .for_each(|running| running.task.abort());
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Returns once the dispatcher stops.
    pub(crate) async fn stopped(&self) {
        let mut stopped = std::pin::pin!(self.stopped.notified());
        stopped.as_mut().enable();
        if !self.is_stopping() {
            stopped.await;
        }
    }

    /// Counts a claim until the answer is dropped.
    pub(crate) fn claiming(&self) -> Claiming<'_> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        Claiming(&self.claims)
    }

    /// Whether nothing is in hand or about to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.claims.load(Ordering::SeqCst) == 0 && self.in_hand() == 0
    }

    fn can_start(&self) -> bool {
        !self.is_stopping() && self.heartbeat.is_valid()
    }

    fn is_full(&self) -> bool {
        self.in_flight() >= self.settings.max_in_flight
    }

    /// Starts the delivery whose holders died twice, if one waits.
    pub(crate) fn start_suspect(self: &Arc<Self>) {
        let suspect = lock(&self.suspects).run();
        let Some((lane, delivery)) = suspect else {
            return;
        };
        let now = self.clock.now();
        let mut state = lane.lock();
        let free = self.can_start() && state.is_open(now) && self.obstacle(&state).is_none();
        if free && self.take_slot() {
            if let Ok(permit) = self.admit(&lane, &state, now) {
                self.start(&lane, &mut state, Load::One(delivery), permit);
                return;
            }
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        drop(state);
        self.release(Some(&lane), &delivery, now.after(SUSPECT_PAUSE));
        lock(&self.suspects).ended();
    }

    /// The lane's next request, if it can start.
    fn start_next(self: &Arc<Self>, lane: &Arc<Lane>, state: &mut LaneState) -> Turn {
        if !self.can_start() {
            return Turn::Stop;
        }
        let now = self.clock.now();
        if !state.is_open(now) {
            self.give_back(lane, state, now);
            return Turn::Over;
        }
        if let Some(turn) = self.obstacle(state) {
            return turn;
        }
        if !self.take_slot() {
            return Turn::Stop;
        }
        let turn = match state.take_next(Instant::now()) {
            Next::Nothing => Turn::Over,
            Next::Filling(until) => {
                self.wake_at(lane, state, until);
                Turn::Over
            }
            Next::Load(load) => match self.admit(lane, state, now) {
                Ok(permit) => {
                    self.start(lane, state, load, permit);
                    return Turn::Again;
                }
                Err((until, because)) => {
                    state.put_back(load, false);
                    self.hold(lane, state, until, because);
                    Turn::Over
                }
            },
        };
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        turn
    }

    pub(crate) fn admit(
        &self,
        lane: &Lane,
        state: &LaneState,
        now: Timestamp,
    ) -> Result<Box<dyn Permit>, (Timestamp, HeldBy)> {
        match self
            .gate
            .admit(&lane.endpoint_id, self.own_rate_limit(state), now)
        {
            Admission::Go(permit) => Ok(permit),
            Admission::Wait { until, because } => Err((until, because)),
        }
    }

    /// The rate limit that this process has to keep.
    fn own_rate_limit(&self, state: &LaneState) -> Option<RateLimitConfig> {
        let limit = state.rate_limit(self.settings.rate_limit);
        limit.filter(|_| !self.storage.limits_rate())
    }

    /// Parks a lane: nothing of it is claimed or started before `until`.
    fn hold(&self, lane: &Arc<Lane>, state: &mut LaneState, until: Timestamp, because: HeldBy) {
        tracing::debug!(endpoint_id = %lane.endpoint_id, %until, ?because, "endpoint is held");
        state.hold(until);
        self.recorder.record(Entry::Gate(
            EndpointGate {
                endpoint_id: lane.endpoint_id.clone(),
                change: GateChange::Hold { until },
            },
            None,
        ));
        self.give_back(lane, state, self.clock.now());
    }

    /// Starts a request; its slot was taken.
    pub(crate) fn start(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        load: Load,
        permit: Box<dyn Permit>,
    ) {
        let id = state.next_request();
        let attempting = Attempting::new(
            self.clone(),
            lane.clone(),
            state.record.endpoint.clone(),
            load,
            permit,
            id,
        );
        let task = tokio::spawn(attempting.run());
        state.started(id, task.abort_handle());
        self.recount(state);
    }

    /// Why the lane itself cannot start another request, if it cannot.
    fn obstacle(&self, state: &LaneState) -> Option<Turn> {
        if state.in_flight() >= state.window.min(self.settings.max_in_flight_per_endpoint) {
            return Some(Turn::Over);
        }
        if self.doubtful_is_full() && state.is_doubtful(Instant::now()) {
            return Some(Turn::Stalled);
        }
        None
    }

    /// Takes one of the slots of the total.
    fn take_slot(&self) -> bool {
        let most = self.settings.max_in_flight;
        let one_more = |taken| (taken < most).then_some(taken + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    fn doubtful_is_full(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed) >= self.settings.max_in_flight.div_ceil(2)
    }

    fn recount(&self, state: &mut LaneState) {
        let doubtful = match state.is_doubtful(Instant::now()) {
            true => state.in_flight(),
            false => 0,
        };
        if doubtful < state.doubtful {
            self.doubtful
                .fetch_sub(state.doubtful - doubtful, Ordering::Relaxed);
            self.unstall();
        } else {
            self.doubtful
                .fetch_add(doubtful - state.doubtful, Ordering::Relaxed);
        }
        state.doubtful = doubtful;
    }

    /// Gives a stalled lane another turn.
    fn unstall(&self) {
        if let Some(lane) = lock(&self.stalled).pop_front() {
            lock(&self.turns).push_back(lane);
        }
    }

    fn take_turn(&self, lane: &Arc<Lane>, state: &mut LaneState) {
        if !state.in_turns && !state.waiting.is_empty() {
            state.in_turns = true;
            lock(&self.turns).push_back(lane.clone());
        }
    }

    /// Gives the lane a turn at `until`, once.
    fn wake_at(self: &Arc<Self>, lane: &Arc<Lane>, state: &mut LaneState, until: Instant) {
        if std::mem::replace(&mut state.alarm_set, true) {
            return;
        }
        let (dispatcher, lane) = (Arc::downgrade(self), Arc::downgrade(lane));
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            if let (Some(dispatcher), Some(lane)) = (dispatcher.upgrade(), lane.upgrade()) {
                let mut state = lane.lock();
                state.alarm_set = false;
                dispatcher.take_turn(&lane, &mut state);
                drop(state);
                dispatcher.dispatch();
            }
        });
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A claim on its way.
#[derive(Debug)]
pub(crate) struct Claiming<'a>(&'a AtomicUsize);

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The right to start one request; given back when it is dropped unused.
#[derive(Debug)]
pub(crate) struct Reservation {
    dispatcher: Arc<Dispatcher>,
    lane: Arc<Lane>,
    permit: Option<Box<dyn Permit>>,
    /// The leases under which it was made.
    era: u64,
}

impl Reservation {
    /// Starts the request, now that the delivery is stored and leased.
    pub(crate) fn start(mut self, delivery: WebhookDelivery) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let dispatcher = self.dispatcher.clone();
        let mut state = self.lane.lock();
        state.reserved -= 1;
        let leased = self.era == dispatcher.heartbeat.era();
        if leased && dispatcher.can_start() && state.is_open(dispatcher.clock.now()) {
            dispatcher.start(&self.lane, &mut state, Load::One(delivery), permit);
            return;
        }
        // It was closed, or the leases were lost, while the event was stored.
        dispatcher.slot_freed(&self.lane, &mut state);
        drop(state);
        dispatcher.release(Some(&self.lane), &delivery, dispatcher.clock.now());
    }

    /// Gives a delivery back that may have been stored leased, though its commit failed.
    pub(crate) fn disown(self, delivery: &WebhookDelivery) {
        let (dispatcher, lane) = (self.dispatcher.clone(), self.lane.clone());
        drop(self);
        dispatcher.release(None, delivery, dispatcher.clock.now());
        drop(lane);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.permit.take().is_some() {
            let mut state = self.lane.lock();
            state.reserved -= 1;
            self.dispatcher.slot_freed(&self.lane, &mut state);
            drop(state);
            self.dispatcher.out_of_hand(&self.lane);
            self.dispatcher.dispatch();
        }
    }
}

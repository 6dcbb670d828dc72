//! Takes deliveries from their lanes in turn and starts their requests.
//!
//! One endpoint never hurts another: a lane has its own cap of requests in flight, lanes have
//! their turns one request each, and endpoints that may hold their requests for long have at most
//! half of the total together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::{Admission, Clock, Permit, Result, Transport, WebhookDelivery, WorkerId};

use crate::attempt::Attempting;
use crate::clock::StorageClock;
use crate::directory::Directory;
use crate::hand::Hand;
use crate::heartbeat::Heartbeat;
use crate::identity::Identity;
use crate::lane::{Lane, LaneState, Running};
use crate::load::{Load, Next};
use crate::moment;
use crate::notice::Notices;
use crate::recorder::Recorder;
use crate::retrying::error_source;
use crate::seat::Seat;
use crate::settings::Settings;
use crate::slots::{Full, Slots};
use crate::suspect_place::SuspectPlace;
use crate::turns::Turns;

/// See the module.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) clock: Arc<StorageClock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) notices: Notices,
    pub(crate) recorder: Recorder,
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    /// Where requests run, whoever starts them.
    runtime: Handle,
    pub(crate) hand: Hand,
    pub(crate) slots: Slots,
    pub(crate) turns: Turns,
    pub(crate) suspect: SuspectPlace,
    /// There may be something to claim, or room for it.
    pub(crate) work: Notify,
    /// There may be something in the outbox.
    pub(crate) outbox: Notify,
    /// The storage may have fan-outs that are not done.
    pub(crate) fan_out_work: Notify,
    /// One part of a fan-out at a time, so that those of many senders do not crowd out the rest.
    pub(crate) fan_out_turn: Semaphore,
    /// Events that were set aside in the outbox.
    pub(crate) outbox_refused: AtomicUsize,
    /// A claim or a commit failed, and perhaps only its answer was lost.
    pub(crate) leases_unknown: Notify,
    stopping: AtomicBool,
    stopped: Notify,
}

/// What came of a lane's turn.
enum Turn {
    /// It started a request and may start another.
    Again,
    /// It has nothing more to start, or must wait for a request of its own to end.
    Over,
    /// Nothing can start at the moment.
    Stop,
}

/// What a dispatcher works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn WebhookStorage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) clock: Arc<StorageClock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) recorder: Recorder,
    pub(crate) worker: WorkerId,
    pub(crate) settings: Settings,
    pub(crate) runtime: Handle,
}

impl Dispatcher {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            storage: parts.storage,
            transport: parts.transport,
            admission: parts.admission,
            clock: parts.clock,
            directory: parts.directory,
            heartbeat: Heartbeat::new(),
            notices: Notices::new(),
            recorder: parts.recorder,
            identity: Identity::new(parts.worker),
            runtime: parts.runtime,
            hand: Hand::default(),
            slots: Slots::new(&parts.settings),
            settings: parts.settings,
            turns: Turns::default(),
            suspect: SuspectPlace::default(),
            work: Notify::new(),
            outbox: Notify::new(),
            fan_out_work: Notify::new(),
            fan_out_turn: Semaphore::new(1),
            outbox_refused: AtomicUsize::new(0),
            leases_unknown: Notify::new(),
            stopping: AtomicBool::new(false),
            stopped: Notify::new(),
        }
    }

    /// Takes deliveries of a lane in hand that were claimed in this era; they start when their turn
    /// comes.
    pub(crate) fn accept(&self, lane: &Arc<Lane>, deliveries: Vec<WebhookDelivery>, era: u64) {
        let mut state = lane.lock();
        self.hand.put_in(lane, &mut state, deliveries.len());
        for delivery in deliveries {
            match state.takes(&delivery) {
                true => state.waiting.push_back(delivery),
                false => self.cancel(lane, &delivery),
            }
        }
        self.give_turn(lane, &mut state, era);
    }

    /// The id under which this process leases, from now on.
    pub(crate) fn worker(&self) -> WorkerId {
        self.identity.worker()
    }

    /// Whether what was claimed in this era may still start. Asked once it is in hand, since whoever
    /// ends the era, or the system, gives back what he finds there.
    pub(crate) fn still_holds(&self, era: u64) -> bool {
        era == self.heartbeat.era() && !self.is_stopping()
    }

    /// Starts what can start.
    pub(crate) fn dispatch(self: &Arc<Self>) {
        self.dispatch_from(&mut Seat::default());
    }

    /// As [`dispatch`](Self::dispatch); the first request takes the seat.
    pub(crate) fn dispatch_from(self: &Arc<Self>, seat: &mut Seat) {
        while let Some(lane) = self.turns.next() {
            let mut state = lane.lock();
            state.in_turns = false;
            let moment = moment::now();
            match self.start_next(&lane, &mut state, seat, moment) {
                Turn::Again => self.turns.push(&lane, &mut state),
                Turn::Over => {}
                Turn::Stop => {
                    self.turns.push_first(&lane, &mut state);
                    // A slot that became free just now saw no lane to start.
                    if !self.holds_leases(moment) || self.slots.is_full() {
                        return;
                    }
                }
            }
        }
    }

    /// The lane's next request, if it can start.
    fn start_next(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        seat: &mut Seat,
        moment: Instant,
    ) -> Turn {
        if !self.holds_leases(moment) {
            return Turn::Stop;
        }
        let now = self.clock.at(moment);
        if !state.is_open(now) {
            self.give_back(lane, state, now);
            return Turn::Over;
        }
        if self.is_busy(state) {
            return Turn::Over;
        }
        if self.slots.stalls(state, moment) {
            // Others may have a slot for it; here it would only fill the hand.
            self.turns.stall(lane);
            self.give_back(lane, state, now);
            return Turn::Over;
        }
        match self.slots.take(lane) {
            Ok(()) => {}
            Err(Full::Tenant) => return Turn::Over,
            Err(Full::All) => return Turn::Stop,
        }
        match state.take_next() {
            Next::Nothing => {}
            Next::Load(load) => match self.admit(lane, state, now) {
                Ok(permit) => {
                    self.start(lane, state, load, permit, seat, moment);
                    return match self.is_busy(state) {
                        true => Turn::Over,
                        false => Turn::Again,
                    };
                }
                Err((until, because)) => {
                    state.put_back(load, false);
                    self.hold(lane, state, until, because);
                }
            },
        }
        self.free_slot(lane);
        Turn::Over
    }

    /// Gives a slot of the lane back.
    fn free_slot(&self, lane: &Lane) {
        if let Some(next) = self.slots.free(lane) {
            self.turns.wake(next);
        }
    }

    /// Whether another request of the lane could start, slots aside.
    pub(crate) fn can_start(&self, state: &LaneState, moment: Instant) -> bool {
        self.holds_leases(moment) && !self.is_busy(state) && !self.slots.stalls(state, moment)
    }

    /// Whether the lane has as many requests in flight as it may have.
    fn is_busy(&self, state: &LaneState) -> bool {
        let left = self.directory.left_running.against(&state.record.endpoint);
        let most = state.window.min(self.settings.max_in_flight_per_endpoint);
        state.in_flight() + left >= most
    }

    /// Whether what this process has leased may start at this moment, which is now.
    pub(crate) fn holds_leases(&self, moment: Instant) -> bool {
        !self.is_stopping() && self.heartbeat.is_valid(moment)
    }

    /// Starts a request; its slot was taken.
    fn start(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        load: Load,
        permit: Box<dyn Permit>,
        seat: &mut Seat,
        started: Instant,
    ) {
        let id = state.next_request();
        let record = state.record.clone();
        let now = self.clock.at(started);
        let (dispatcher, lane) = (self.clone(), lane.clone());
        let attempting = Attempting::new(dispatcher, lane, record, load, permit, id, now);
        state.started(Running {
            id,
            started,
            task: seat.start(attempting, &self.runtime),
        });
        self.recount(state, started);
    }

    /// Ends the accounting of one request.
    pub(crate) fn slot_freed(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        moment: Instant,
    ) {
        self.recount(state, moment);
        if let Some(endpoint) = state.left() {
            self.directory.left_running.remove_one(endpoint);
        }
        self.free_slot(lane);
        self.turns.push(lane, state);
    }

    /// Counts the lane's unproven requests anew; with fewer of them a stalled lane may go on.
    pub(crate) fn recount(&self, state: &mut LaneState, moment: Instant) {
        if self.slots.recount(state, moment) {
            self.unstall();
        }
    }

    /// Lets lanes that have stalled claim and start again, the longest first, as many as there is
    /// room for: each may have a request to start.
    fn unstall(&self) {
        let room = self.slots.left_for_unproven();
        if (0..room).take_while(|_| self.turns.unstall()).count() > 0 {
            self.work.notify_one();
        }
    }

    /// Whether time alone may change what can start.
    pub(crate) fn needs_ticks(&self) -> bool {
        !self.hand.is_empty() || self.turns.has_stalled()
    }

    /// Counts all unproven requests anew, since time alone makes an endpoint slow, and wakes what
    /// waited for that, or for what others had left running, or for a place that a lane of its
    /// tenant did not use.
    pub(crate) fn tick(self: &Arc<Self>) {
        let moment = moment::now();
        for lane in self.hand.lanes() {
            let mut state = lane.lock();
            self.recount(&mut state, moment);
            self.turns.push(&lane, &mut state);
        }
        self.unstall();
        self.dispatch();
    }

    /// Takes one delivery in hand whose place is counted, and starts it if that is possible now.
    pub(crate) fn accept_one(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        delivery: WebhookDelivery,
        moment: Instant,
    ) {
        let refused = match state.has_waiting() {
            false => self.start_one(lane, state, delivery, moment).err(),
            true => Some(delivery),
        };
        if let Some(delivery) = refused {
            state.wait_in_order(delivery);
            self.turns.push(lane, state);
            self.recount(state, moment);
        }
    }

    /// Takes the poison suspect in hand that a claim brought, to start before all others of its
    /// lane: at a busy endpoint there may never be a moment at which none of them waits.
    pub(crate) fn accept_suspect(&self, lane: &Arc<Lane>, delivery: WebhookDelivery, era: u64) {
        let mut state = lane.lock();
        self.hand.put_in(lane, &mut state, 1);
        match state.takes(&delivery) {
            true => state.suspect = Some(delivery),
            false => self.cancel(lane, &delivery),
        }
        self.give_turn(lane, &mut state, era);
    }

    /// Lets what a lane has in hand since this era have its turn.
    fn give_turn(&self, lane: &Arc<Lane>, state: &mut LaneState, era: u64) {
        if self.still_holds(era) {
            self.turns.push(lane, state);
        } else {
            self.give_back(lane, state, self.clock.now());
        }
    }

    /// Starts a delivery out of its turn, alone in its request, or gives it back.
    fn start_one(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        delivery: WebhookDelivery,
        moment: Instant,
    ) -> Result<(), WebhookDelivery> {
        let now = self.clock.at(moment);
        if !state.is_open(now) || !self.can_start(state, moment) || self.slots.take(lane).is_err() {
            return Err(delivery);
        }
        match self.admit(lane, state, now) {
            Ok(permit) => {
                let seat = &mut Seat::default();
                self.start(lane, state, Load::One(delivery), permit, seat, moment);
                Ok(())
            }
            Err(_) => {
                self.free_slot(lane);
                Err(delivery)
            }
        }
    }

    /// Reads changed endpoints and acts on them.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let changed = self.directory.refresh(&*self.storage).await?;
        changed.iter().for_each(|lane| self.endpoint_changed(lane));
        Ok(())
    }

    /// As [`refresh`](Self::refresh); `false` after a failure, which is logged. The next beat
    /// tries again.
    pub(crate) async fn try_refresh(self: &Arc<Self>) -> bool {
        let refreshed = self.refresh().await;
        if let Err(error) = &refreshed {
            tracing::warn!(%error, source = error_source(error), "cannot read endpoints");
        }
        refreshed.is_ok()
    }

    /// Starts nothing from now on, and gives back what waits.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.stopped.notify_waiters();
        self.give_all_back();
    }

    /// Ends all requests in flight; they count as not started.
    pub(crate) fn abort(&self) {
        for lane in self.hand.lanes() {
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
}

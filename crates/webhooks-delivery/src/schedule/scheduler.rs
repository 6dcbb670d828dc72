//! Decides what starts, what is claimed and what is written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{Admission, Timestamp};

use super::claims::Claims;
use super::command::{Command, Commands, Entry};
use super::directory::Directory;
use super::held_leases::HeldLeases;
use super::kind::Kind;
use super::known_leases::KnownLeases;
use super::lane_id::LaneId;
use super::lanes::Lanes;
use super::lease_window::LeaseWindow;
use super::left_running::LeftRunning;
use super::now::Now;
use super::poison_suspect::PoisonSuspect;
use super::slots::Slots;
use super::tenants::Tenants;
use super::turns::Turns;
use crate::metrics::AttemptCounter;
use crate::settings::Settings;

/// Between two looks at requests that have become slow.
const TICK: Duration = Duration::from_millis(250);

/// All that one process knows of its endpoints and deliveries, and what it does next.
///
/// It is told what happens, each time with the time at which it does, and answers with
/// [commands](Command). It waits for nothing, reads no clock and does no I/O: who drives it does. What
/// it is told is a method each, in the file that is named after it:
///
/// | file | what happens |
/// |---|---|
/// | `sending.rs` | an event is to be sent, and is stored or not |
/// | `claiming.rs` | there is room for a claim, and it brings deliveries |
/// | `starting.rs` | (something may have changed:) what can start starts |
/// | `ending.rs` | a request ends |
/// | `settling.rs` | what came of deliveries, and gates, are stored |
/// | `endpoints.rs` | endpoints change |
/// | here | beats, ticks, the end |
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(super) settings: Settings,
    /// Whether the storage keeps rate limits in its claims, for all processes together.
    pub(super) storage_limits_rate: bool,
    pub(super) admission: Arc<dyn Admission>,
    pub(super) directory: Directory,
    pub(super) lanes: Lanes,
    /// Requests in flight by tenant, and which lanes wait for a share.
    pub(super) tenants: Tenants,
    pub(super) turns: Turns,
    /// Counts starts.
    pub(super) starts: u64,
    pub(super) slots: Slots,
    pub(super) left_running: LeftRunning,
    /// Leased and not settled; what is in `claims` comes on top.
    pub(super) held: HeldLeases,
    /// Asked of the storage and not answered.
    pub(super) claims: Claims,
    /// A claim left something behind, and none began since.
    pub(super) left_some: bool,
    /// By token, to tell what the storage holds for this process and nobody here knows of.
    pub(super) leases: KnownLeases,
    pub(super) poison_suspect: PoisonSuspect,
    pub(super) lease_window: LeaseWindow,
    /// Set once and for ever: nothing starts and nothing is claimed any more.
    pub(super) is_stopping: bool,
    /// At all endpoints.
    pub(super) attempts: AttemptCounter,
    /// Lanes at which something has happened that the storage was not told of.
    pub(super) untold: Vec<LaneId>,
    pub(super) out: Commands,
}

impl Scheduler {
    /// A scheduler that knows of no endpoint yet, and holds no lease.
    pub(crate) fn new(
        settings: Settings,
        storage_limits_rate: bool,
        admission: Arc<dyn Admission>,
    ) -> Self {
        Self {
            slots: Slots::new(&settings),
            settings,
            storage_limits_rate,
            admission,
            directory: Directory::default(),
            lanes: Lanes::default(),
            tenants: Tenants::default(),
            turns: Turns::default(),
            starts: 0,
            left_running: LeftRunning::default(),
            held: HeldLeases::default(),
            claims: Claims::default(),
            left_some: false,
            leases: KnownLeases::default(),
            poison_suspect: PoisonSuspect::default(),
            lease_window: LeaseWindow::default(),
            is_stopping: false,
            attempts: AttemptCounter::default(),
            untold: Vec::new(),
            out: Commands::default(),
        }
    }

    /// What is to be done next; `None` when all is.
    pub(crate) fn next(&mut self) -> Option<Command> {
        self.out.next()
    }

    /// Takes out what is to be written down, the oldest first, at most so many.
    pub(crate) fn take_entries(&mut self, most: usize) -> impl Iterator<Item = Entry> {
        self.out.take_entries(most)
    }

    /// The storage took a beat that was sent at `asked`. `lost`: the leases of before are gone, and
    /// nothing of them may start.
    pub(crate) fn beaten(&mut self, now: Now, asked: Instant, lost: bool) {
        if lost || self.lease_window.may_be_lost(now.moment) {
            // Before anything else: what waits now was leased in the epoch that ended here.
            self.lease_window.lose();
            self.give_all_back(now.at);
        }
        // Asked before the beat counts, to find out whether lanes had to stop for want of one.
        let had_stopped = !self.lease_window.is_valid(now.moment);
        self.lease_window.beaten(asked);
        if had_stopped {
            self.start_what_can(now);
            self.out.claim();
        }
    }

    /// After how long [`tick`](Self::tick) is to be called; not at all while time alone changes
    /// nothing, until [`Watch`](Command::Watch) is commanded.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        // A stalled lane holds no lease, and the lanes that were let go on before it may have found
        // nothing to start: then no request ends that would let it go on, and a tick must.
        let needs_ticks = !self.is_idle() || self.turns.stalled().next().is_some();
        needs_ticks.then_some(TICK)
    }

    /// Counts all unproven requests anew, since time alone makes an endpoint slow, and lets those
    /// start that waited for that, or for what others had left running.
    pub(crate) fn tick(&mut self, now: Now) {
        let lanes: Vec<_> = self.held.lanes().collect();
        for id in lanes {
            self.recount(id, now.moment);
            if let Some(lane) = self.lanes.get_mut(id) {
                // Also a lane that was busy: what others had left running may have ended, which
                // gives no turn by itself.
                self.turns.push(lane);
            }
        }
        self.unstall();
        self.start_what_can(now);
    }

    /// Starts nothing from now on, and gives back what waits.
    pub(crate) fn stop(&mut self, now: Now) {
        // From here on what is still on its way, as a place or in a claim, goes back when it comes.
        self.is_stopping = true;
        self.give_all_back(now.at);
    }

    /// Gives all up that is in flight, as not started; how many requests that were. What comes of them
    /// says nothing any more.
    pub(crate) fn cut_off(&mut self, now: Now) -> usize {
        let lanes: Vec<_> = self.held.lanes().collect();
        let mut cut_off = 0;
        for id in lanes {
            let mut requests = 0;
            let Some(lane) = self.lanes.get_mut(id) else {
                continue;
            };
            for running in lane.in_flight.take_all() {
                for delivery in running.carried.into_deliveries() {
                    // Not counted as an attempt, though it may have been sent: this process
                    // must end, and the response is not waited for. The receiver may see the
                    // event twice.
                    self.out
                        .settle(Some(id), delivery, SettleAs::Release { at: now.at }, None);
                }
                if let Some(endpoint) = &lane.left {
                    self.left_running.remove_one(endpoint);
                }
                requests += 1;
            }
            // After the loop, which borrows the lane.
            (0..requests).for_each(|_| self.free_slot(id, now));
            cut_off += requests;
            self.give_back(id, now.at);
            self.recount(id, now.moment);
        }
        cut_off
    }

    /// Gives back all that waits in lanes, due at `at`.
    fn give_all_back(&mut self, at: Timestamp) {
        let lanes: Vec<_> = self.held.lanes().collect();
        for id in lanes {
            self.give_back(id, at);
        }
    }

    /// Whether nothing is leased or about to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.held.len() == 0
    }

    /// Whether nothing waits to be written down.
    pub(crate) fn is_written(&self) -> bool {
        self.out.is_written()
    }

    /// What is leased and not settled, in requests.
    pub(crate) const fn in_hand(&self) -> usize {
        self.held.len()
    }

    /// Requests in flight.
    pub(crate) const fn in_flight(&self) -> usize {
        self.slots.taken()
    }

    pub(crate) const fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Whether what this process has leased may start now.
    pub(crate) fn holds_leases(&self, now: Instant) -> bool {
        !self.is_stopping && self.lease_window.is_valid(now)
    }

    /// Which leases are held: it changes when all of them are lost.
    pub(crate) const fn lease_epoch(&self) -> u64 {
        self.lease_window.epoch()
    }

    /// Whether what was leased in this epoch may still start, unless a beat is overdue, after which
    /// it may again.
    ///
    /// Asked of what came under an epoch; [`holds_leases`](Self::holds_leases) is asked before each
    /// start, and knows of overdue beats as well.
    pub(super) const fn still_holds(&self, lease_epoch: u64) -> bool {
        lease_epoch == self.lease_window.epoch() && !self.is_stopping
    }

    /// Counts anew what a lane has in flight of its kind; with fewer of them a stalled one may go on.
    pub(super) fn recount(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let has_fewer = self.slots.recount(lane, now);
        // It may be of that kind no longer, and then waits for nobody.
        if let Some(kind) = lane.queued.stalled
            && !self.slots.is_of(kind, lane, now)
        {
            self.turns.go_on(lane);
            self.out.claim();
        }
        if has_fewer {
            self.unstall();
        }
    }

    /// Lets lanes that have stalled claim and start again, the longest first, as many as there is
    /// room for: each may have a request to start.
    fn unstall(&mut self) {
        for kind in Kind::BOTH {
            for _ in 0..self.slots.left_for(kind) {
                let Some(id) = self.turns.unstall(kind) else {
                    break;
                };
                if let Some(lane) = self.lanes.get_mut(id) {
                    lane.queued.stalled = None;
                    self.out.claim();
                }
            }
        }
    }
}

//! The world of one seed: its time, its storage, its nodes.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::{Clock, Timestamp};
use webhooks_storage_memory::MemoryStorage;

use super::event::{Event, NodeEvent, Timed};
use super::ledger::Ledger;
use super::node::Node;
use super::plan::{Class, Plan};
use super::storage::done;
use super::trace::{Trace, fail};

/// Storage time at the beginning, in milliseconds.
const NOON: i64 = 1_704_110_400_000;
/// Everything has ended so long after the last happening, in milliseconds.
const PATIENCE: u64 = 240_000;
/// Between two looks at whether everybody gets on, in microseconds.
const LOOK: u64 = 200_000;

/// The world of one seed.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    /// Microseconds since the beginning.
    pub(super) us: u64,
    number: u64,
    queue: BinaryHeap<Timed>,
    base: Instant,
    pub(super) storage: Arc<MemoryStorage>,
    storage_time: Arc<AtomicI64>,
    /// Milliseconds by which the storage's clock was set.
    pub(super) step: i64,
    /// The same, without signs.
    pub(super) stepped: i64,
    /// Endpoints may change how they batch.
    pub(super) batches_vary: bool,
    pub(super) nodes: Vec<Node>,
    /// Draws faults and responses.
    pub(super) rng: Rng,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    /// How often calls have failed for a time, or were refused.
    pub(super) outages: u32,
    /// Until when all calls fail, in milliseconds.
    pub(super) outage: u64,
    /// What the storage refuses for good, and until when.
    pub(super) refused: Option<(Arc<str>, u64)>,
    /// Events sent.
    pub(super) sent: u64,
    /// Since when each endpoint has waited for something that could start.
    pub(super) waits: std::collections::BTreeMap<Arc<str>, u64>,
}

/// The storage's clock, for the calls to which no time is passed.
#[derive(Debug)]
struct StorageTime(Arc<AtomicI64>);

impl Clock for StorageTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl<'a> World<'a> {
    #[expect(clippy::disallowed_methods, reason = "some moment to count from")]
    pub(super) fn new(plan: &'a Plan, is_traced: bool) -> Self {
        fastrand::seed(plan.seed);
        let storage_time = Arc::new(AtomicI64::new(NOON));
        let clock = StorageTime(storage_time.clone());
        let mut world = Self {
            plan,
            us: 0,
            number: 0,
            queue: BinaryHeap::new(),
            base: Instant::now(),
            storage: Arc::new(MemoryStorage::new().with_clock(clock)),
            storage_time,
            step: 0,
            stepped: 0,
            batches_vary: plan.class.is(Class::Batches),
            nodes: Vec::new(),
            rng: Rng::with_seed(!plan.seed),
            ledger: Ledger::default(),
            trace: Trace::new(is_traced),
            outages: 0,
            outage: 0,
            refused: None,
            sent: 0,
            waits: std::collections::BTreeMap::new(),
        };
        for (n, endpoint) in plan.endpoints.iter().enumerate() {
            world.at(endpoint.registered * 1_000, Event::Register(n));
        }
        for (n, planned) in plan.happenings.iter().enumerate() {
            world.at(planned.ms * 1_000, Event::Planned(n));
        }
        for n in 0..plan.nodes {
            world.nodes.push(Node::new(plan, n));
            world.start_node(n);
        }
        world.at(plan.ends * 1_000, Event::Recovery);
        world.at(LOOK, Event::Look);
        world
    }

    /// Runs to the end of it.
    pub(super) fn run(&mut self) {
        while let Some(Timed { us, event, .. }) = self.queue.pop() {
            self.us = self.us.max(us);
            self.storage_time
                .store(self.true_time().as_millis(), Ordering::Relaxed);
            match event {
                Event::Planned(n) => self.happens(n),
                Event::Register(n) => self.register(n),
                Event::Start(n) => self.start_node(n),
                Event::Recovery => self.recover(),
                Event::Effect(asking) => self.effect(*asking),
                Event::Node { node, life, event } => self.node_event(node, life, event),
                Event::Look => {
                    if self.is_over() {
                        return self.end();
                    }
                    self.look();
                    self.at(self.us + LOOK, Event::Look);
                }
            }
        }
    }

    fn node_event(&mut self, n: usize, life: u64, event: NodeEvent) {
        let node = &self.nodes[n];
        if !node.is_up || node.life != life {
            return;
        }
        if node.paused_until > self.us {
            let us = node.paused_until;
            return self.at(
                us,
                Event::Node {
                    node: n,
                    life,
                    event,
                },
            );
        }
        match event {
            NodeEvent::Answer(to, answer) => self.answered(n, to, answer),
            NodeEvent::Commit => self.commit(n),
            NodeEvent::Claim(claimer, alarm) => self.claimer_wakes(n, claimer, alarm),
            NodeEvent::Record => self.record(n),
            NodeEvent::ParkedDue => self.parked_due(n),
            NodeEvent::RetryRecord => self.record_part(n),
            NodeEvent::Beat => self.beat(n),
            NodeEvent::Tick(alarm) => self.tick(n, alarm),
            NodeEvent::Look => self.look_for_leases(n),
            NodeEvent::Ended(request, result) => self.request_ended(n, request, result),
            NodeEvent::Die => self.kill(n),
            NodeEvent::Leave => self.leave(n),
        }
    }

    /// Plans an event.
    pub(super) fn at(&mut self, us: u64, event: Event) {
        self.number += 1;
        self.queue.push(Timed {
            us,
            number: self.number,
            event,
        });
    }

    /// Plans an event within a node, so many microseconds from now.
    pub(super) fn later(&mut self, node: usize, us: u64, event: NodeEvent) {
        let life = self.nodes[node].life;
        self.at(self.us + us, Event::Node { node, life, event });
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        self.trace.line(self.us, text);
    }

    /// This moment.
    pub(super) fn moment(&self) -> Instant {
        self.base + Duration::from_micros(self.us)
    }

    pub(super) const fn base(&self) -> Instant {
        self.base
    }

    /// The storage's time as it really is.
    pub(super) fn true_time(&self) -> Timestamp {
        let ms = i64::try_from(self.us / 1_000).unwrap();
        Timestamp::from_millis(NOON + ms + self.step)
    }

    pub(super) const fn ms(&self) -> u64 {
        self.us / 1_000
    }

    /// Whether all that was planned has happened.
    pub(super) const fn is_calm(&self) -> bool {
        self.us / 1_000 > self.plan.ends
    }

    /// Whether nothing is left to do: not before the last happening, and what it leads to.
    fn is_over(&mut self) -> bool {
        if self.ms() < self.plan.ends + 1_000 {
            return false;
        }
        let counts = done(self.storage.counts(None)).unwrap();
        let is_idle = |node: &Node| !node.is_up || node.is_idle();
        let is_over = counts.waiting() == 0 && self.nodes.iter().all(is_idle);
        // One a second is the lowest rate limit.
        let patience = PATIENCE + 1_000 * counts.enqueued;
        if !is_over && self.ms() > self.plan.ends + patience {
            let busy = self.nodes.iter().position(|node| !is_idle(node));
            fail("everything ends", format!("{counts:?}, busy node {busy:?}"));
        }
        is_over
    }
}

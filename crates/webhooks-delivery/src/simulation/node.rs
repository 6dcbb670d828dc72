//! One process: the real scheduler, and what drives it, as `runtime/` does.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use webhooks_core::storage::spi::{ClaimRoom, Enqueued};
use webhooks_core::{Result, Timestamp, WorkerId};

use super::checks::Before;
use super::claiming::Claimer;
use super::committing::Committer;
use super::event::{Answer, NodeEvent, To};
use super::model::Model;
use super::plan::Plan;
use super::reading::Reader;
use super::recording::Recorder;
use super::spy::Spy;
use super::world::World;
use crate::runtime::StorageClock;
use crate::schedule::{Command, Now, Scheduler};

/// Returns when there may be work in the storage.
pub(super) type Wait = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One process.
pub(super) struct Node {
    /// Counts the processes that this one followed.
    pub(super) life: u64,
    pub(super) is_up: bool,
    /// When it is stopped until, in microseconds.
    pub(super) paused_until: u64,
    /// When it went on, in microseconds.
    pub(super) resumed: u64,
    /// When a request of a gone endpoint was seen last.
    pub(super) left_running: u64,
    pub(super) worker: WorkerId,
    pub(super) scheduler: Scheduler,
    pub(super) admission: Arc<Spy>,
    pub(super) clock: StorageClock,
    pub(super) committer: Committer,
    pub(super) claimers: Vec<Claimer>,
    /// Somebody told the claimer that watches, or one that helps.
    pub(super) claim_permit: bool,
    pub(super) help_permit: bool,
    pub(super) wait: Option<Wait>,
    pub(super) recorder: Recorder,
    pub(super) reader: Reader,
    pub(super) beats: Beats,
    pub(super) ticks: Ticks,
    pub(super) looks: super::looking::Looks,
    /// Until when what is in flight may end, in microseconds, once it is to shut down.
    pub(super) leaving: Option<u64>,
    pub(super) was_cut_off: bool,
    pub(super) model: Model,
}

/// When it beats.
#[derive(Debug, Default)]
pub(super) struct Beats {
    pub(super) asked: u64,
    /// Its first beat was taken, and endpoints were read.
    pub(super) is_ready: bool,
}

/// When it is told of the time.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    pub(super) sleeps: bool,
    pub(super) alarm: u64,
    pub(super) permit: bool,
}

impl Node {
    pub(super) fn new(plan: &Plan, n: usize) -> Self {
        let admission = Arc::new(Spy::new(plan.circuit));
        #[expect(clippy::disallowed_methods, reason = "replaced when it starts")]
        let clock = StorageClock::started(std::time::Instant::now());
        Self {
            life: 0,
            is_up: false,
            paused_until: 0,
            resumed: 0,
            left_running: 0,
            worker: WorkerId::named(&format!("n{n}.0")),
            scheduler: Scheduler::new(plan.settings.clone(), false, admission.clone()),
            admission,
            clock,
            committer: Committer::default(),
            claimers: (0..plan.settings.workers)
                .map(|_| Claimer::default())
                .collect(),
            claim_permit: false,
            help_permit: false,
            wait: None,
            recorder: Recorder::default(),
            reader: Reader::default(),
            beats: Beats::default(),
            ticks: Ticks::default(),
            looks: super::looking::Looks::default(),
            leaving: None,
            was_cut_off: false,
            model: Model::default(),
        }
    }

    /// Whether it has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
            && self.scheduler.next_wake().is_none()
            && self.scheduler.is_written()
            && self.recorder.is_idle()
            && self.committer.is_idle()
    }
}

impl World<'_> {
    /// A process starts.
    pub(super) fn start_node(&mut self, n: usize) {
        if self.nodes[n].is_up {
            return;
        }
        let life = self.nodes[n].life + 1;
        let mut node = Node::new(self.plan, n);
        node.life = life;
        node.is_up = true;
        node.worker = WorkerId::named(&format!("n{n}.{life}"));
        node.clock = StorageClock::started(self.moment());
        self.nodes[n] = node;
        self.note(|| format!("n{n} starts"));
        self.later(n, 0, NodeEvent::Beat);
    }

    /// A process dies. What it sent may arrive all the same.
    pub(super) fn kill(&mut self, n: usize) {
        if self.nodes[n].is_up {
            self.note(|| format!("n{n} dies"));
            self.nodes[n].is_up = false;
            self.nodes[n].wait = None;
            // Somebody starts it again.
            let us = self.us + self.rng.u64(1_000_000..15_000_000);
            self.at(us, super::event::Event::Start(n));
        }
    }

    pub(super) fn now(&self, n: usize) -> Now {
        let moment = self.moment();
        Now {
            moment,
            at: self.nodes[n].clock.at(moment),
        }
    }

    /// Storage time, as a node knows it.
    pub(super) fn node_time(&self, n: usize) -> Timestamp {
        self.now(n).at
    }

    /// Looks at a node's scheduler.
    pub(super) fn scheduler(&self, n: usize) -> &Scheduler {
        &self.nodes[n].scheduler
    }

    /// Tells a node's scheduler something, checks what came of it, and does what it commands.
    pub(super) fn tell<R>(
        &mut self,
        n: usize,
        input: Input<'_>,
        tell: impl FnOnce(&mut Scheduler, Now) -> R,
    ) -> R {
        let now = self.now(n);
        let before = self.before(n, now);
        let answer = tell(&mut self.nodes[n].scheduler, now);
        self.after(n, now, &before, input);
        answer
    }

    /// Checks what came of an input, and does what is commanded.
    pub(super) fn after(&mut self, n: usize, now: Now, before: &Before, input: Input<'_>) {
        let scheduler = &mut self.nodes[n].scheduler;
        let commands: Vec<_> = std::iter::from_fn(|| scheduler.next()).collect();
        self.check(n, now, before, input, &commands);
        for command in commands {
            self.obey(n, command);
        }
    }

    fn obey(&mut self, n: usize, command: Command) {
        match command {
            Command::Start(request) => self.send_request(n, request),
            Command::Tell(_) | Command::Forget(_) => {}
            Command::Record => self.wake_recorder(n),
            Command::Claim => self.wake_claimer(n),
            Command::Watch => self.watch(n),
        }
    }

    pub(super) fn answered(&mut self, n: usize, to: To, answer: Result<Answer>) {
        match to {
            To::Committer => self.committed(n, answer),
            To::Claimer(claimer) => self.claim_answered(n, claimer, answer),
            To::Recorder => self.record_answered(n, answer),
            To::Beat => self.beaten(n, answer),
            To::Reader => self.read(n, answer),
            To::Look => self.looked(n, answer),
            To::GivenBack => self.gave_back(n, answer),
        }
    }
}

/// What a claim asked for, and how much it brought.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) limit: usize,
    pub(super) per_endpoint: usize,
    pub(super) room: Vec<ClaimRoom>,
    pub(super) brought: BTreeMap<Arc<str>, usize>,
}

/// What a scheduler is told.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// Nothing that changes what is known.
    Other,
    Reserve,
    Stored(&'a [super::committing::Sending], &'a [Enqueued]),
    /// So many of them were to be leased.
    NotStored(usize),
    ClaimWanted,
    Claimed(&'a Asked),
    EndClaim,
    Changes(Vec<webhooks_core::storage::EndpointRecord>),
    Ended(
        crate::schedule::RequestId,
        Option<&'a webhooks_core::DeliveryResult>,
    ),
    Beaten {
        asked: u64,
        lost: bool,
    },
    Ticked,
    Stopped,
    CutOff,
    Settled,
    GatesStored,
    GatesRead,
}

/// Entries that wait in a queue.
pub(super) type Queue<T> = VecDeque<T>;

//! What the world does next.

use std::cmp::Ordering;

use webhooks_core::storage::spi::{
    Beat, ClaimRoom, Claimed, EndpointChanges, EndpointGate, Enqueued, HeldLease, NewEvent,
    Settled, Settlement,
};
use webhooks_core::{DeliveryId, DeliveryResult, Result, Timestamp, WorkerId};

use crate::schedule::RequestId;

/// Something that happens at a time, in the order in which it was planned.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) us: u64,
    pub(super) number: u64,
    pub(super) event: Event,
}

#[derive(Debug)]
pub(super) enum Event {
    /// The plan's happening with this number.
    Planned(usize),
    /// An endpoint is registered.
    Register(usize),
    /// A process is started.
    Start(usize),
    /// From now on all is well.
    Recovery,
    /// The storage does what it was asked to do.
    Effect(Box<Asking>),
    /// Something happens within a node, if it still lives.
    Node {
        node: usize,
        life: u64,
        event: NodeEvent,
    },
    /// A look at whether everybody gets on.
    Look,
}

/// A call of a node on its way into the storage.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) call: Call,
    /// Who gets the answer, and how many microseconds later; nobody, if it is lost.
    pub(super) answer: Option<(To, u64)>,
    /// The answer is lost, and this error comes instead.
    pub(super) loses: bool,
}

#[derive(Debug)]
pub(super) enum NodeEvent {
    Answer(To, Result<Answer>),
    Commit,
    /// A claimer looks for work; the number tells an outdated alarm.
    Claim(usize, u64),
    Record,
    ParkedDue,
    RetryRecord,
    Beat,
    Tick(u64),
    Look,
    Ended(RequestId, Option<DeliveryResult>),
    /// It dies.
    Die,
    /// It looks whether its shutdown is done.
    Leave,
}

/// Who asked the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Committer,
    Claimer(usize),
    Recorder,
    Beat,
    Reader,
    Look,
    GivenBack,
}

#[derive(Debug)]
pub(super) enum Call {
    Enqueue {
        worker: WorkerId,
        events: Vec<NewEvent>,
        now: Timestamp,
    },
    Claim {
        worker: WorkerId,
        now: Timestamp,
        limit: usize,
        per_endpoint: usize,
        room: Vec<ClaimRoom>,
        poison_suspects: usize,
    },
    Settle {
        worker: WorkerId,
        settlements: Vec<Settlement>,
        now: Timestamp,
    },
    SetGates {
        gates: Vec<EndpointGate>,
        now: Timestamp,
    },
    Beat {
        worker: WorkerId,
    },
    Endpoints {
        since: u64,
    },
    LeasedBy {
        worker: WorkerId,
        after: Option<DeliveryId>,
    },
}

#[derive(Debug)]
pub(super) enum Answer {
    Enqueued(Vec<Enqueued>),
    Claimed(Claimed),
    Settled(Vec<Settled>),
    Done,
    Beat(Beat),
    Changes(EndpointChanges),
    Leases(Vec<HeldLease>),
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timed {}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timed {
    /// The earliest is the greatest, for a heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.us, other.number).cmp(&(self.us, self.number))
    }
}

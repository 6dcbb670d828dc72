//! What random sequences consist of. Numbers instead of ids and times, so that a failing sequence
//! can be made shorter and still means the same.

use proptest::prelude::*;

/// Few, so that operations meet at the same ones.
pub(crate) const ENDPOINTS: [&str; 3] = ["a", "b", "c"];
/// Two are enough: one that dies and one that finds it dead.
pub(crate) const WORKERS: [&str; 2] = ["worker_x", "worker_y"];
/// No sum of these is a bound of the contract, where storages may differ by a millisecond.
pub(crate) const STEPS: [u64; 4] = [900, 5_300, 13_100, 8 * 86_400_000];

/// Something that is done to the storage and to the model.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Lets one of [`STEPS`] pass.
    Advance(usize),
    /// Of an endpoint, enabled or not, for one of two tenants or for none, with a batch or not.
    Save(usize, bool, Option<bool>, bool),
    /// Of an endpoint, which may not be there.
    Delete(usize),
    /// With how many epochs ago it was decided, if it says so.
    Gate(usize, u8, Option<u64>),
    /// Several events in one call, which share its worker.
    Enqueue(Vec<Send>),
    /// A claim by a worker, which beats first if it may not claim.
    Claim {
        worker: usize,
        limit: usize,
        per_endpoint: usize,
        suspects: bool,
    },
    /// An outcome for one of the leased deliveries. `stale` gives it a token of before.
    Settle {
        row: prop::sample::Index,
        outcome: u8,
        stale: bool,
    },
    /// A sign of life.
    Beat(usize),
    /// Of one endpoint's deliveries, or of all.
    Change(Option<usize>, u8),
    /// Further deliveries of events that are kept, each to an endpoint, in an order or in none.
    Deliver(Vec<(prop::sample::Index, usize, Option<Order>)>),
    /// A listing, which changes nothing.
    Look(Look),
    /// With the default retention, until nothing is left to go.
    Sweep,
}

/// One of two keys, and whether a dead one holds those behind it.
pub(crate) type Order = (usize, bool);

/// What is asked for, by numbers that choose among a few values of each filter.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) endpoints: Option<Vec<usize>>,
    pub(crate) pattern: Option<usize>,
    pub(crate) tenant: Option<bool>,
    pub(crate) states: usize,
    pub(crate) expired: bool,
    pub(crate) failures: usize,
    pub(crate) status: Option<usize>,
    /// The first event that may be found, the last one, and one that limits changes.
    pub(crate) times: [Option<prop::sample::Index>; 3],
    pub(crate) limit: usize,
}

/// An event to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    /// May name an endpoint twice, or none.
    pub(crate) endpoints: Vec<usize>,
    /// A level of `Priority`.
    pub(crate) priority: u8,
    /// Until it is due, in milliseconds.
    pub(crate) delay: u64,
    /// A worker; the event's deliveries are then stored leased.
    pub(crate) leased_to: Option<usize>,
    /// One of three idempotency keys.
    pub(crate) key: Option<u8>,
    /// What its key stands for.
    pub(crate) fingerprint: Option<bool>,
    /// One of three types and tenants.
    pub(crate) kind: usize,
    /// Of all its deliveries.
    pub(crate) order: Option<Order>,
    pub(crate) keep: bool,
}

/// Any operation.
///
/// The weights make sending, claiming and settling most frequent, so that operators' acts meet
/// deliveries in every state.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let at = 0..ENDPOINTS.len();
    let worker = 0..WORKERS.len();
    prop_oneof![
        // The last step is days long, and rare: it takes away most of what has built up.
        4 => prop_oneof![8 => 0..3_usize, 1 => Just(3)].prop_map(Operation::Advance),
        2 => (at.clone(), prop::bool::weighted(0.8), prop::option::weighted(0.3, any::<bool>()),
            any::<bool>())
            .prop_map(|(e, on, tenant, batches)| Operation::Save(e, on, tenant, batches)),
        1 => at.clone().prop_map(Operation::Delete),
        3 => (at.clone(), 0..10_u8, prop::option::of(0..2_u64))
            .prop_map(|(e, change, epochs_ago)| Operation::Gate(e, change, epochs_ago)),
        8 => prop::collection::vec(send(), 1..4).prop_map(Operation::Enqueue),
        8 => (worker.clone(), 0..8_usize, 1..4_usize, any::<bool>()).prop_map(
            |(worker, limit, per_endpoint, suspects)| {
                Operation::Claim { worker, limit, per_endpoint, suspects }
            }),
        8 => (any::<prop::sample::Index>(), 0..6_u8, prop::bool::weighted(0.1))
            .prop_map(|(row, outcome, stale)| Operation::Settle { row, outcome, stale }),
        5 => worker.prop_map(Operation::Beat),
        2 => (prop::option::of(at.clone()), 0..5_u8)
            .prop_map(|(e, to)| Operation::Change(e, to)),
        2 => prop::collection::vec((any::<prop::sample::Index>(), at, order()), 1..4)
            .prop_map(Operation::Deliver),
        2 => look().prop_map(Operation::Look),
        1 => Just(Operation::Sweep),
    ]
}

/// An order in half of all cases: enough to wait for each other, and for those that have none.
fn order() -> impl Strategy<Value = Option<Order>> {
    prop::option::of((0..2_usize, any::<bool>()))
}

/// Few filters at a time, so that something is found.
fn look() -> impl Strategy<Value = Look> {
    let time = || prop::option::weighted(0.2, any::<prop::sample::Index>());
    (
        prop::option::weighted(0.4, prop::collection::vec(0..ENDPOINTS.len(), 0..3)),
        prop::option::weighted(0.3, 0..3_usize),
        prop::option::weighted(0.2, any::<bool>()),
        prop_oneof![1 => Just(0), 1 => 0..5_usize],
        prop::bool::weighted(0.1),
        prop_oneof![3 => Just(0), 1 => 0..3_usize],
        prop::option::weighted(0.2, 0..4_usize),
        [time(), time(), time()],
        prop_oneof![1 => 1..4_usize, 1 => Just(1_000)],
    )
        .prop_map(
            |(endpoints, pattern, tenant, states, expired, failures, status, times, limit)| Look {
                endpoints,
                pattern,
                tenant,
                states,
                expired,
                failures,
                status,
                times,
                limit,
            },
        )
}

/// An event, mostly one that is due at once and leased to nobody.
fn send() -> impl Strategy<Value = Send> {
    (
        prop::collection::vec(0..ENDPOINTS.len(), 0..4),
        0..4_u8,
        prop_oneof![3 => Just(0), 1 => Just(5_000), 1 => Just(40_000)],
        prop::option::weighted(0.2, 0..WORKERS.len()),
        prop::option::weighted(0.2, 0..3_u8),
        prop::option::of(any::<bool>()),
        0..3_usize,
        order(),
        any::<bool>(),
    )
        .prop_map(
            |(endpoints, priority, delay, leased_to, key, fingerprint, kind, order, keep)| Send {
                endpoints,
                priority,
                delay,
                leased_to,
                key,
                fingerprint,
                kind,
                order,
                keep,
            },
        )
}

use proptest::prelude::*;

pub(crate) const ENDPOINTS: [&str; 3] = ["a", "b", "c"];
pub(crate) const WORKERS: [&str; 2] = ["worker_x", "worker_y"];
/// No sum of these is a bound of the contract, where storages may differ by a millisecond.
pub(crate) const STEPS: [u64; 4] = [900, 5_300, 13_100, 8 * 86_400_000];

/// Something that is done to the storage and to the model.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Advance(usize),
    /// Of an endpoint, enabled or not, for one of two tenants or for none, with a batch or not.
    Save(usize, bool, Option<bool>, bool),
    Delete(usize),
    /// With how many epochs ago it was decided, if it says so.
    Gate(usize, u8, Option<u64>),
    Enqueue(Vec<Send>),
    Claim {
        worker: usize,
        limit: usize,
        per_endpoint: usize,
        suspects: bool,
    },
    Settle {
        row: prop::sample::Index,
        outcome: u8,
        stale: bool,
    },
    Beat(usize),
    Change(Option<usize>, u8),
    Sweep,
}

/// An event to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) endpoints: Vec<usize>,
    pub(crate) priority: u8,
    pub(crate) delay: u64,
    pub(crate) leased_to: Option<usize>,
    pub(crate) key: Option<u8>,
}

/// Any operation.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let at = 0..ENDPOINTS.len();
    let worker = 0..WORKERS.len();
    prop_oneof![
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
        2 => (prop::option::of(at), 0..4_u8).prop_map(|(e, to)| Operation::Change(e, to)),
        1 => Just(Operation::Sweep),
    ]
}

fn send() -> impl Strategy<Value = Send> {
    (
        prop::collection::vec(0..ENDPOINTS.len(), 0..4),
        0..4_u8,
        prop_oneof![3 => Just(0), 1 => Just(5_000), 1 => Just(40_000)],
        prop::option::weighted(0.2, 0..WORKERS.len()),
        prop::option::weighted(0.2, 0..3_u8),
    )
        .prop_map(|(endpoints, priority, delay, leased_to, key)| Send {
            endpoints,
            priority,
            delay,
            leased_to,
            key,
        })
}

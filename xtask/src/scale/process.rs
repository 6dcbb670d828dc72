//! One sender process: what waits in it, and what it has on its way.

use std::collections::VecDeque;

use super::costs::Call;

/// `MAX_DEPTH` of `webhooks-delivery`: deliveries in hand, in times of what may be in flight.
const DEPTH: usize = 8;
/// `QUEUE` of its `committer.rs`: sends that wait for their commit; more are refused.
const QUEUE: usize = 16_384;

/// See the module. Of each kind of call one is on its way at most.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) database: usize,
    pub(super) in_flight: usize,
    pub(super) is_storing: bool,
    pub(super) is_claiming: bool,
    /// Settles, or waits for more to settle with.
    pub(super) is_settling: bool,
    /// When each of these was sent.
    pub(super) to_store: VecDeque<f64>,
    pub(super) in_hand: VecDeque<f64>,
    pub(super) to_settle: VecDeque<f64>,
}

impl Process {
    /// Whether one more send may wait.
    pub(super) fn takes(&self) -> bool {
        self.to_store.len() < QUEUE
    }

    /// How many more deliveries it may have in hand, of so many in flight.
    pub(super) fn room(&self, places: usize) -> usize {
        (DEPTH * places).saturating_sub(self.in_hand.len() + self.in_flight)
    }
}

/// Takes out what the next call of this kind carries.
pub(super) fn next(of: &mut VecDeque<f64>, call: &Call) -> Vec<f64> {
    let count = of.len().min(call.most);
    of.drain(..count).collect()
}

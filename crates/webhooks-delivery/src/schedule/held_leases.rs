//! How much this process has leased.
//!
//! Each delivery counts from when its place is reserved or its claim brings it until its settlement
//! is stored, and not only until its request ends. So a storage that cannot settle stops the
//! claims, and entries in memory are bounded by the same number as leases.

use std::collections::BTreeSet;

use super::lane::Lane;
use super::lane_id::LaneId;
use super::lanes::Lanes;

/// How much this process has leased and not settled, and in which lanes. It is counted as the
/// requests that carry it, so that one endpoint's large batches leave room for others.
#[derive(Debug, Default)]
pub(super) struct HeldLeases {
    /// The sum of the lanes' `counted.requests`; both change together.
    requests: usize,
    /// In order, so that the same inputs lead to the same commands.
    /// Exactly those whose `counted.leased` is above zero.
    lanes: BTreeSet<LaneId>,
    /// Lanes of which the storage has more that is ready.
    backlogged: BTreeSet<LaneId>,
}

impl HeldLeases {
    /// Counts deliveries of a lane in; whether nothing was leased before.
    pub(super) fn put_in(&mut self, lane: &mut Lane, count: usize) -> bool {
        let was_empty = self.requests == 0;
        if lane.counted.leased == 0 && count > 0 {
            self.lanes.insert(lane.id);
        }
        lane.counted.leased += count;
        self.recount(lane);
        was_empty && self.requests > 0
    }

    /// Counts deliveries of a lane out, because they are settled.
    pub(super) fn take_out(&mut self, lane: &mut Lane, count: usize) {
        lane.counted.leased -= count;
        self.recount(lane);
        if lane.counted.leased == 0 {
            self.lanes.remove(&lane.id);
        }
    }

    /// Counts the requests of a lane anew: a batch may have become smaller or larger meanwhile.
    fn recount(&mut self, lane: &mut Lane) {
        // The lane's old share is taken off as it was counted, so that the total stays right
        // whatever the batch size was then.
        let requests = lane.counted.leased.div_ceil(lane.per_request());
        let before = std::mem::replace(&mut lane.counted.requests, requests);
        self.requests = self.requests - before + requests;
    }

    /// Requests that what is leased takes.
    pub(super) const fn len(&self) -> usize {
        self.requests
    }

    /// The lanes with something leased.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.lanes.iter().copied()
    }

    /// The storage has more of this lane than is leased.
    pub(super) fn mark_backlog(&mut self, lane: &mut Lane) {
        if !std::mem::replace(&mut lane.queued.backlogged, true) {
            self.backlogged.insert(lane.id);
        }
    }

    /// The lanes of which the storage has more, as far as this process knows.
    #[cfg(test)]
    pub(super) const fn backlogged(&self) -> &BTreeSet<LaneId> {
        &self.backlogged
    }

    /// A claim found all there was: only lanes that it left out may have more.
    pub(super) fn end_backlogs(&mut self, is_left_out: impl Fn(LaneId) -> bool, lanes: &mut Lanes) {
        self.backlogged.retain(|id| {
            let Some(lane) = lanes.get_mut(*id) else {
                return false;
            };
            // Flag and set change together: the flag is read before each send, without a look-up.
            lane.queued.backlogged = is_left_out(*id);
            lane.queued.backlogged
        });
    }
}

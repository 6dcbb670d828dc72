//! The names of lanes and of their requests.
//!
//! Both outlive what they name: a settlement or the end of a request may be told after its lane is
//! gone, and must then find nothing rather than a lane that has the same place in memory.

/// Names a lane. Numbers are never used again, so that what names a lane that is gone finds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId {
    /// Counts lanes as they are made: first, so that lanes are ordered by age.
    pub(super) number: u64,
    /// Where it is kept.
    pub(super) slot: usize,
}

/// Names a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId {
    pub(super) lane: LaneId,
    /// Counts the requests of the lane.
    pub(super) number: u64,
}

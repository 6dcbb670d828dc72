//! The names of lanes and of their requests.

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

//! Where lanes are kept.
//!
//! A slab, since a lane is looked up several times per delivery: by its slot, with no hash. The
//! slot alone could name a later lane, so that each look compares the whole id.

use slab::Slab;

use super::lane::Lane;
use super::lane_id::LaneId;

/// All lanes: of endpoints that are there, and of those that are gone until nothing of them is leased.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Slab<Lane>,
    /// Counts all that were ever made; part of each id.
    made: u64,
}

impl Lanes {
    /// Keeps the lane that `make` makes under its name.
    pub(super) fn insert(&mut self, make: impl FnOnce(LaneId) -> Lane) -> LaneId {
        self.made += 1;
        let entry = self.lanes.vacant_entry();
        let id = LaneId {
            number: self.made,
            slot: entry.key(),
        };
        entry.insert(make(id));
        id
    }

    pub(super) fn get(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(id.slot).filter(|lane| lane.id == id)
    }

    pub(super) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(id.slot).filter(|lane| lane.id == id)
    }

    /// All lanes.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().map(|(_, lane)| lane)
    }

    /// Drops a lane if its endpoint is gone and nothing of it is leased.
    pub(super) fn drop_if_done(&mut self, id: LaneId) {
        if self.get(id).is_some_and(Lane::is_done) {
            self.lanes.remove(id.slot);
        }
    }
}

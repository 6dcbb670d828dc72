//! Which endpoints there are, and which an event is for.
//!
//! The index names lanes and not endpoints, so that a match needs no second look-up. It holds what
//! [`insert`](Directory::insert) put in, and `remove` must see the lane unchanged: filters that
//! were replaced in between would stay in the index for ever, and match for an endpoint that no
//! longer takes such events.

use std::collections::HashMap;
use std::sync::Arc;

use webhooks_core::FilterIndex;

use super::lane::Lane;
use super::lane_id::LaneId;

/// The lanes of all endpoints that are there, by id, and an index of their filters. Kept up to date
/// by their revisions, so that an event costs no read of the storage.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// It is complete up to this revision.
    /// Never falls, though pages of changes may be told late.
    revision: u64,
    lanes: HashMap<Arc<str>, LaneId>,
    index: FilterIndex<LaneId>,
}

impl Directory {
    /// The revision up to which it is complete.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// All changes up to this revision were taken in.
    pub(super) fn complete(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    /// The lane of an endpoint that is not deleted.
    pub(super) fn get(&self, endpoint_id: &str) -> Option<LaneId> {
        self.lanes.get(endpoint_id).copied()
    }

    /// The lanes that take this event, each once.
    pub(super) fn matches(&self, tenant: Option<&Arc<str>>, event_type: &str) -> Vec<LaneId> {
        self.index.matches(tenant, event_type)
    }

    /// How many endpoints there are.
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// The lanes of all endpoints that are not deleted.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.lanes.values().copied()
    }

    /// Adds the lane of an endpoint as it is now.
    pub(super) fn insert(&mut self, lane: &Lane) {
        self.lanes.insert(lane.endpoint_id.clone(), lane.id);
        self.index(lane, true);
    }

    /// Takes back what [`insert`](Self::insert) added, before anything of the lane changes.
    pub(super) fn remove(&mut self, lane: &Lane) {
        self.lanes.remove(&lane.endpoint_id);
        self.index(lane, false);
    }

    fn index(&mut self, lane: &Lane, insert: bool) {
        // A disabled endpoint makes no new deliveries, while those that wait keep their lane.
        if !lane.record.takes_events() {
            return;
        }
        let tenant: Option<Arc<str>> = lane.record.endpoint.tenant.as_deref().map(Into::into);
        for filter in lane.filters() {
            if insert {
                self.index.insert(tenant.as_ref(), filter, lane.id);
            } else {
                self.index.remove(tenant.as_ref(), filter, &lane.id);
            }
        }
    }
}

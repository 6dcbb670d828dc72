//! Claims on their way.
//!
//! The bounds on what one process leases hold only if an answer that has not come yet counts
//! already. A claim whose answer has begun to be taken in counts less with each lane that it has
//! brought, so that nothing counts twice.

use std::collections::BTreeSet;

use super::lane::Lane;
use super::lane_id::LaneId;

/// Claims on their way, with all that they may bring: it counts as leased, so that several claims
/// together never bring more than there is room for.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// In the order of their begin. As many as there are claimers at most.
    begun: Vec<Begun>,
    /// Ids are never used again, so that an end that comes late ends no other claim.
    last: u64,
}

/// Names a claim on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClaimId(u64);

/// What a claim asked for.
#[derive(Debug)]
struct Begun {
    id: ClaimId,
    /// Requests that it may still bring in all.
    limit: usize,
    /// Of each lane that is not listed; of one that batches, so many batches.
    per_endpoint: usize,
    /// How much of each lane that is listed, in the order of their ids.
    listed: Vec<(LaneId, usize)>,
    /// It asked for nothing of some lane that has room and waits for what goes on in others.
    leaves_some_out: bool,
    /// Lanes of which it has brought all that it will.
    brought: BTreeSet<LaneId>,
}

impl Begun {
    fn listed(&self, lane: LaneId) -> Option<usize> {
        let place = self.listed.binary_search_by_key(&lane, |(id, _)| *id);
        place
            .ok()
            .and_then(|place| self.listed.get(place))
            .map(|(_, room)| *room)
    }

    /// Deliveries, of which a batch has many: rooms are asked for in deliveries, totals are kept in
    /// requests.
    fn may_bring(&self, lane: &Lane) -> usize {
        if self.brought.contains(&lane.id) {
            return 0;
        }
        let unlisted = || self.per_endpoint.saturating_mul(lane.per_request());
        self.listed(lane.id).unwrap_or_else(unlisted)
    }
}

impl Claims {
    /// Takes note of a claim; `listed` in the order of the ids.
    pub(super) fn begin(
        &mut self,
        limit: usize,
        per_endpoint: usize,
        listed: Vec<(LaneId, usize)>,
        leaves_some_out: bool,
    ) -> ClaimId {
        self.last += 1;
        let id = ClaimId(self.last);
        self.begun.push(Begun {
            id,
            limit,
            per_endpoint,
            listed,
            leaves_some_out,
            brought: BTreeSet::new(),
        });
        id
    }

    /// A claim has brought of this lane what it will, for which so many requests were counted as
    /// leased.
    pub(super) fn brought(&mut self, id: ClaimId, lane: LaneId, requests: usize) {
        if let Some(begun) = self.begun.iter_mut().find(|begun| begun.id == id) {
            begun.brought.insert(lane);
            begun.limit = begun.limit.saturating_sub(requests);
        }
    }

    /// A claim has brought what it will.
    /// An end that is told twice does nothing the second time.
    pub(super) fn end(&mut self, id: ClaimId) {
        self.begun.retain(|begun| begun.id != id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Requests that claims may bring in all.
    pub(super) fn limit(&self) -> usize {
        self.begun.iter().map(|begun| begun.limit).sum()
    }

    /// Deliveries of each lane that is not listed that claims may bring.
    pub(super) fn per_endpoint(&self) -> usize {
        self.begun.iter().map(|begun| begun.per_endpoint).sum()
    }

    /// Deliveries of this lane that claims may bring.
    pub(super) fn may_bring(&self, lane: &Lane) -> usize {
        self.begun.iter().map(|begun| begun.may_bring(lane)).sum()
    }

    /// Deliveries of this lane that one claim may bring.
    pub(super) fn asked(&self, id: ClaimId, lane: &Lane) -> usize {
        let begun = self.begun.iter().find(|begun| begun.id == id);
        begun.map_or(0, |begun| begun.may_bring(lane))
    }

    /// Whether a claim asked for nothing of this lane.
    pub(super) fn leaves_out(&self, id: ClaimId, lane: LaneId) -> bool {
        let begun = self.begun.iter().find(|begun| begun.id == id);
        begun.is_some_and(|begun| begun.listed(lane) == Some(0))
    }

    /// Whether a claim asked for nothing of some lane that has room.
    pub(super) fn leaves_some_out(&self, id: ClaimId) -> bool {
        let begun = self.begun.iter().find(|begun| begun.id == id);
        begun.is_some_and(|begun| begun.leaves_some_out)
    }

    /// The lanes that claims have listed.
    pub(super) fn listed(&self) -> impl Iterator<Item = LaneId> {
        let listed = self.begun.iter().flat_map(|begun| &begun.listed);
        listed.map(|(id, _)| *id)
    }
}

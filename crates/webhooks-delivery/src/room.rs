//! How much more this process can take in hand.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use webhooks_core::storage::ClaimRoom;

use crate::dispatcher::Dispatcher;
use crate::lane::{Lane, LaneState};
use crate::moment;

impl Dispatcher {
    /// Deliveries that can be claimed, and the lanes that differ from what any lane can take.
    pub(crate) fn room(&self) -> (usize, Vec<ClaimRoom>) {
        let most = self.settings.max_in_hand();
        let limit = most.saturating_sub(self.hand.len());
        let stalled = self.turns.stalled();
        let is_stalled: HashSet<_> = stalled.iter().map(|lane| lane.number()).collect();
        let mut lanes = self.hand.lanes();
        lanes.retain(|lane| !is_stalled.contains(&lane.number()));
        let room = |lane: Arc<Lane>| ClaimRoom {
            endpoint_id: lane.endpoint_id.clone(),
            deliveries: self.room_of(&lane),
        };
        let no_room = |lane: Arc<Lane>| ClaimRoom {
            endpoint_id: lane.endpoint_id.clone(),
            deliveries: 0,
        };
        let rooms = lanes.into_iter().map(room);
        let rooms = rooms.chain(stalled.into_iter().map(no_room)).collect();
        (limit, rooms)
    }

    /// How many more deliveries of the lane can be claimed.
    pub(crate) fn room_of(&self, lane: &Lane) -> usize {
        let state = lane.lock();
        let moment = moment::now();
        let is_open = state.is_open(self.clock.at(moment));
        match is_open && !self.slots.stalls(&state, moment) {
            true => whole_loads(&state, self.per_lane(&state).saturating_sub(state.in_hand)),
            false => 0,
        }
    }

    /// Whether the lane has in hand what it can have at most.
    pub(crate) fn is_full(&self, lane: &Lane) -> bool {
        let state = lane.lock();
        state.in_hand >= self.per_lane(&state)
    }

    /// Whether the lane can take a delivery straight through in hand, to be started soon. Part of
    /// the room is for claims alone, of each lane and of the hand: senders are quicker to take what
    /// becomes free, and what waits in the storage would wait for as long as they are many.
    pub(crate) fn has_room(&self, state: &LaneState, moment: Instant) -> bool {
        let window = state.window.saturating_mul(2);
        let for_claims = self.settings.max_in_flight;
        self.holds_leases(moment)
            && state.in_hand < window.min(self.per_lane(state) - 1)
            && self.hand.len() + for_claims < self.settings.max_in_hand()
            && !self.slots.stalls(state, moment)
    }

    /// What one lane has in hand at most.
    fn per_lane(&self, state: &LaneState) -> usize {
        match state.record.endpoint.batch {
            Some(_) => 2 * state.per_load(),
            None => state.depth() * self.settings.max_in_flight_per_endpoint,
        }
    }
}

/// As much of this room as whole requests take: a part of a batch would go as a batch of its own.
fn whole_loads(state: &LaneState, room: usize) -> usize {
    room - room % state.per_load()
}

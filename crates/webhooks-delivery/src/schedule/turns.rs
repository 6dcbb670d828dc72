//! Whose turn it is.
//!
//! A lane is in `next` only if its flag `for_turn` is set, and in `stalled` only if `stalled` is;
//! both are set and cleared together with the queue. A lane that stood twice would have two turns
//! for the one of others.

use std::collections::VecDeque;

use super::kind::Kind;
use super::lane::Lane;
use super::lane_id::LaneId;

/// Lanes with something to start, each in its turn, one request each, so that a long backlog of one
/// delays others by one request; and those that wait for others of their kind to end a request.
/// Flags of the lane keep it from being in a queue twice.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: VecDeque<LaneId>,
    unproven: VecDeque<LaneId>,
    patient: VecDeque<LaneId>,
}

impl Turns {
    /// Gives the lane a turn after all others, if something waits in it.
    ///
    /// A lane with nothing that waits gets none: what is put into it later asks again.
    pub(super) fn push(&mut self, lane: &mut Lane) {
        if !lane.queued.for_turn && !lane.waiting.is_empty() {
            lane.queued.for_turn = true;
            self.next.push_back(lane.id);
        }
    }

    /// Gives the lane the next turn: it had one and could not use it.
    pub(super) fn push_first(&mut self, lane: &mut Lane) {
        lane.queued.for_turn = true;
        self.next.push_front(lane.id);
    }

    /// The lane whose turn it is; its flag is the caller's to clear.
    pub(super) fn next(&mut self) -> Option<LaneId> {
        self.next.pop_front()
    }

    /// The lane must wait for others of this kind; nothing of it is claimed until then, since here it
    /// would only fill the room of others.
    pub(super) fn stall(&mut self, lane: &mut Lane, kind: Kind) {
        if lane.queued.stalled.is_none() {
            lane.queued.stalled = Some(kind);
            self.stalled_of(kind).push_back(lane.id);
        }
    }

    /// The lane waits for no others any more.
    pub(super) fn go_on(&mut self, lane: &mut Lane) {
        if let Some(kind) = lane.queued.stalled.take() {
            self.stalled_of(kind).retain(|id| *id != lane.id);
        }
    }

    /// The lane that has waited longest for others of this kind; its flag is the caller's to clear.
    pub(super) fn unstall(&mut self, kind: Kind) -> Option<LaneId> {
        self.stalled_of(kind).pop_front()
    }

    /// The lanes with something to start, in their order.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = LaneId> {
        self.next.iter().copied()
    }

    /// The lanes that wait for others of their kind.
    pub(super) fn stalled(&self) -> impl Iterator<Item = LaneId> {
        self.unproven.iter().chain(&self.patient).copied()
    }

    const fn stalled_of(&mut self, kind: Kind) -> &mut VecDeque<LaneId> {
        match kind {
            Kind::Unproven => &mut self.unproven,
            Kind::Patient => &mut self.patient,
        }
    }
}

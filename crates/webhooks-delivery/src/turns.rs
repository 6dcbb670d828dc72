//! Whose turn it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::lane::{Lane, LaneState};
use crate::lock::lock;

/// Lanes with something to start, each in its turn, and those that wait for other unproven lanes
/// to end a request. Flags of the lane keep it from being in a queue twice.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: Mutex<VecDeque<Arc<Lane>>>,
    stalled: Mutex<VecDeque<Arc<Lane>>>,
    /// Lanes that get a turn as soon as nobody holds another lane's lock.
    woken: Mutex<Vec<Arc<Lane>>>,
    has_woken: AtomicBool,
}

impl Turns {
    /// Gives the lane a turn after all others, if something waits in it.
    pub(crate) fn push(&self, lane: &Arc<Lane>, state: &mut LaneState) {
        if !state.in_turns && state.has_waiting() {
            state.in_turns = true;
            lock(&self.next).push_back(lane.clone());
        }
    }

    /// Gives the lane the next turn: it had one and could not use it.
    pub(crate) fn push_first(&self, lane: &Arc<Lane>, state: &mut LaneState) {
        state.in_turns = true;
        lock(&self.next).push_front(lane.clone());
    }

    /// Gives the lane a turn soon. Its own lock is not needed, so that the holder of another lane's
    /// can do it.
    pub(crate) fn wake(&self, lane: Arc<Lane>) {
        lock(&self.woken).push(lane);
        self.has_woken.store(true, Ordering::SeqCst);
    }

    /// The lane whose turn it is; its flag is the caller's to clear, who holds no lane's lock.
    pub(crate) fn next(&self) -> Option<Arc<Lane>> {
        if self.has_woken.swap(false, Ordering::SeqCst) {
            for lane in std::mem::take(&mut *lock(&self.woken)) {
                self.push(&lane, &mut lane.lock());
            }
        }
        lock(&self.next).pop_front()
    }

    /// The lane must wait for others of its kind; nothing of it is claimed until then.
    pub(crate) fn stall(&self, lane: &Arc<Lane>) {
        if !lane.is_stalled.swap(true, Ordering::SeqCst) {
            lock(&self.stalled).push_back(lane.clone());
        }
    }

    /// Lets the lane that has waited longest go on; whether there was one.
    pub(crate) fn unstall(&self) -> bool {
        let lane = lock(&self.stalled).pop_front();
        lane.is_some_and(|lane| lane.is_stalled.swap(false, Ordering::SeqCst))
    }

    /// Whether a lane waits for others of its kind.
    pub(crate) fn has_stalled(&self) -> bool {
        !lock(&self.stalled).is_empty()
    }

    /// The lanes that wait for others of their kind.
    pub(crate) fn stalled(&self) -> Vec<Arc<Lane>> {
        lock(&self.stalled).iter().cloned().collect()
    }
}

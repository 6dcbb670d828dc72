//! How many requests one tenant may have in flight, at whichever endpoints.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The requests in flight of one tenant, and its lanes that wait for one of them to end. However
/// many endpoints a tenant has, and whatever they do, others have the rest of the slots.
#[derive(Debug)]
pub(crate) struct TenantShare<L> {
    in_flight: AtomicUsize,
    waiting: Mutex<VecDeque<Arc<L>>>,
}

impl<L> TenantShare<L> {
    /// Takes a place for a request of this lane, or lets the lane wait for one; `awaits` says that it
    /// does, and is the lane's.
    pub(crate) fn take(&self, lane: &Arc<L>, awaits: &AtomicBool, most: usize) -> bool {
        if self.try_take(most) {
            return true;
        }
        let mut waiting = lock(&self.waiting);
        // Whoever frees a place looks into the queue after that: if not with this lane in it, the
        // place is free by now.
        if self.try_take(most) {
            return true;
        }
        if !awaits.swap(true, Ordering::SeqCst) {
            waiting.push_back(lane.clone());
        }
        false
    }

    fn try_take(&self, most: usize) -> bool {
        let one_more = |taken| (taken < most).then_some(taken + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    /// Gives a place back; the lane that has waited longest for one, which no longer does.
    pub(crate) fn free(&self) -> Option<Arc<L>> {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        lock(&self.waiting).pop_front()
    }

    /// Gives a place back that no slot was free for. A lane that waits for a place would find no
    /// slot either.
    pub(crate) fn leave_unused(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether nothing of the tenant is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) == 0
    }
}

impl<L> Default for TenantShare<L> {
    fn default() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            waiting: Mutex::default(),
        }
    }
}

//! How many requests may be in flight.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use crate::lane::LaneState;

/// The requests in flight of this process. Those at doubtful endpoints, which may hold them for
/// long, get at most half of the slots together.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    /// Requests in flight or about to be.
    taken: AtomicUsize,
    /// Those of them at doubtful endpoints.
    doubtful: AtomicUsize,
}

impl Slots {
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            most,
            taken: AtomicUsize::new(0),
            doubtful: AtomicUsize::new(0),
        }
    }

    /// Takes a slot, if one is free.
    pub(crate) fn take(&self) -> bool {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    /// Gives a slot back.
    pub(crate) fn free(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    /// Requests in flight or about to be.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether none is free.
    pub(crate) fn is_full(&self) -> bool {
        self.taken() >= self.most
    }

    /// Whether the lane must wait until requests at other doubtful endpoints end.
    pub(crate) fn stalls(&self, state: &LaneState, moment: Instant) -> bool {
        self.left_for_doubtful() == 0 && state.is_doubtful(moment)
    }

    /// Requests that doubtful endpoints may start now.
    pub(crate) fn left_for_doubtful(&self) -> usize {
        let most = self.most.div_ceil(2);
        most.saturating_sub(self.doubtful.load(Ordering::Relaxed))
    }

    /// Counts what a lane has in flight anew; whether doubtful endpoints have less now.
    pub(crate) fn recount(&self, state: &mut LaneState, moment: Instant) -> bool {
        let before = state.doubtful;
        state.doubtful = match state.is_doubtful(moment) {
            true => state.in_flight() + state.reserved,
            false => 0,
        };
        if state.doubtful < before {
            self.doubtful
                .fetch_sub(before - state.doubtful, Ordering::Relaxed);
        } else {
            self.doubtful
                .fetch_add(state.doubtful - before, Ordering::Relaxed);
        }
        state.doubtful < before
    }
}

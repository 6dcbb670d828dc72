//! What this process has in hand: leased from the storage, and not settled.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use webhooks_core::storage::ClaimRoom;

use crate::lane::{Lane, LaneState};
use crate::leases::Leases;
use crate::lock::lock;

/// The deliveries that this process has leased and not settled, and the lanes they are in. They are
/// counted as the requests that carry them, so that one endpoint's large batches leave room for
/// others.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pub(crate) leases: Leases,
    loads: AtomicUsize,
    /// Claims on their way, which may bring more.
    claims: AtomicUsize,
    /// Lanes with something in hand, by their number.
    lanes: Mutex<HashMap<u64, Arc<Lane>>>,
    /// Lanes of which the storage has more that is ready.
    backlogged: Mutex<Vec<Arc<Lane>>>,
    /// A claim left something behind, and none began since.
    left_some: AtomicBool,
    /// The first was put in.
    filled: Notify,
}

impl Hand {
    /// Counts deliveries of a lane in.
    pub(crate) fn put_in(&self, lane: &Arc<Lane>, state: &mut LaneState, count: usize) {
        if state.in_hand == 0 && count > 0 {
            lock(&self.lanes).insert(lane.number(), lane.clone());
        }
        state.in_hand += count;
        if self.recount(state) == 0 {
            self.filled.notify_one();
        }
    }

    /// Counts the requests of a lane anew; how many there were of all.
    fn recount(&self, state: &mut LaneState) -> usize {
        let loads = state.in_hand.div_ceil(state.per_load());
        let before = std::mem::replace(&mut state.loads, loads);
        // A batch may have become smaller or larger meanwhile.
        match loads.checked_sub(before) {
            Some(more) => self.loads.fetch_add(more, Ordering::SeqCst),
            None => self.loads.fetch_sub(before - loads, Ordering::SeqCst),
        }
    }

    /// Waits until something was put in since it was empty.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Counts deliveries of a lane out, because they are settled; whether the storage may let out
    /// others for that.
    pub(crate) fn take_out(&self, lane: &Arc<Lane>, count: usize) -> bool {
        let mut state = lane.lock();
        state.in_hand -= count;
        self.recount(&mut state);
        if state.in_hand == 0 {
            lock(&self.lanes).remove(&lane.number());
        }
        state.record.gate.max_leased.is_some()
    }

    /// Counts a delivery of each of these lanes out, many of one lane that stand together at once;
    /// whether the storage may let out others for that.
    pub(crate) fn take_out_all(&self, lanes: &[Arc<Lane>]) -> bool {
        let runs = lanes.chunk_by(Arc::ptr_eq);
        let taken = runs.filter_map(|run| Some(self.take_out(run.first()?, run.len())));
        taken.fold(false, |any, is_limited| any | is_limited)
    }

    /// Whether the room that a settlement made may be of use to a claim.
    pub(crate) fn wants_more(&self) -> bool {
        // A claim on its way may have asked before there was that room.
        self.claims.load(Ordering::SeqCst) > 0
            || self.left_some.load(Ordering::SeqCst)
            || !lock(&self.backlogged).is_empty()
    }

    /// The claim that ends may have left something behind, for want of room.
    pub(crate) fn left_some(&self) {
        self.left_some.store(true, Ordering::SeqCst);
    }

    /// Requests that what is in hand takes.
    pub(crate) fn len(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// Whether nothing is in hand or about to be.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.load(Ordering::SeqCst) == 0 && self.len() == 0
    }

    /// The lanes with something in hand.
    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).values().cloned().collect()
    }

    /// Counts a claim as on its way until the answer is dropped.
    pub(crate) fn claiming(&self) -> Claiming<'_> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        self.left_some.store(false, Ordering::SeqCst);
        Claiming(&self.claims)
    }

    /// The storage has more of this lane than is in hand.
    pub(crate) fn has_backlog(&self, lane: &Arc<Lane>) {
        if !std::mem::replace(&mut lane.lock().backlog, true) {
            lock(&self.backlogged).push(lane.clone());
        }
    }

    /// A claim with this room found all there was: only lanes without room may have more.
    pub(crate) fn backlog_ends(&self, room: &[ClaimRoom]) {
        let without_room = room.iter().filter(|room| room.deliveries == 0);
        let left_out: HashSet<_> = without_room.map(|room| &room.endpoint_id).collect();
        lock(&self.backlogged).retain(|lane| {
            let backlog = left_out.contains(&lane.endpoint_id);
            lane.lock().backlog = backlog;
            backlog
        });
    }
}

/// A claim on its way.
#[derive(Debug)]
pub(crate) struct Claiming<'a>(&'a AtomicUsize);

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

use std::collections::{BTreeSet, VecDeque};

use webhooks_core::Timestamp;

use crate::arena::Arena;
use crate::endpoint_entry::EndpointEntry;

/// Which endpoints have something to claim, in turn, and which will once their hold is over or the
/// batch is due that fills.
///
/// A claim looks at no other endpoint. Entries are not taken out when an endpoint closes; they are
/// dropped when their turn comes, so that every change of a gate costs the same, however long the
/// ring.
#[derive(Debug, Default)]
pub(crate) struct ReadyRing {
    turns: VecDeque<u32>,
    holds: BTreeSet<(Timestamp, u32)>,
}

impl ReadyRing {
    /// Gives the endpoint its turn, or its place among the held, if it has something to claim.
    /// Whether a waiting worker should look again.
    pub(crate) fn admit(&mut self, handle: u32, entry: &mut EndpointEntry, now: Timestamp) -> bool {
        if !entry.is_claimable() {
            return false;
        }
        if let Some(until) = entry.held_until(now) {
            self.holds.insert((until, handle));
            return true;
        }
        if let Some(until) = entry.filling_until(now) {
            // Who waits knows of this time after it was put in.
            let is_news = self.holds.insert((until, handle));
            if entry.suspects.is_empty() {
                return is_news;
            }
        }
        if !entry.in_ring {
            entry.in_ring = true;
            self.turns.push_back(handle);
        }
        true
    }

    /// The endpoint whose turn it is, taken out of the ring.
    pub(crate) fn next(
        &mut self,
        endpoints: &mut Arena<EndpointEntry>,
        now: Timestamp,
    ) -> Option<u32> {
        loop {
            let handle = self.turns.pop_front()?;
            let Some(entry) = endpoints.get_mut(handle) else {
                continue;
            };
            entry.in_ring = false;
            if !entry.is_claimable() {
                continue;
            }
            let until = entry.held_until(now);
            let fills = || entry.filling_until(now);
            let is_filling = || entry.suspects.is_empty().then(fills).flatten();
            match until.or_else(is_filling) {
                None => return Some(handle),
                Some(until) => drop(self.holds.insert((until, handle))),
            }
        }
    }

    /// Gives those their turn whose hold is over.
    pub(crate) fn end_holds(&mut self, endpoints: &mut Arena<EndpointEntry>, now: Timestamp) {
        while let Some(&(until, handle)) = self.holds.first() {
            if until > now {
                break;
            }
            self.holds.pop_first();
            if let Some(entry) = endpoints.get_mut(handle) {
                self.admit(handle, entry, now);
            }
        }
    }

    /// When the next hold ends that keeps something back, or the next batch is due that fills.
    pub(crate) fn next_hold(
        &mut self,
        endpoints: &Arena<EndpointEntry>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        while let Some(&(until, handle)) = self.holds.first() {
            let entry = endpoints.get(handle);
            let lasts = |e: &EndpointEntry| {
                e.gate.held_until == Some(until) || e.filling_until(now) == Some(until)
            };
            if entry.is_some_and(|e| e.is_claimable() && lasts(e)) {
                return Some(until);
            }
            self.holds.pop_first();
        }
        None
    }

    /// Forgets an endpoint whose handle goes to another.
    pub(crate) fn forget(&mut self, handle: u32) {
        self.turns.retain(|h| *h != handle);
        self.holds.retain(|(_, h)| *h != handle);
    }
}

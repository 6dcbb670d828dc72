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
///
/// Invariant: an endpoint that has something to claim is in `turns`, or in `holds` under the time
/// at which it may be claimed. [`admit`](Self::admit) restores it after a change; an endpoint in
/// neither would starve.
#[derive(Debug, Default)]
pub(crate) struct ReadyRing {
    /// Each endpoint at most once, which its `in_ring` says: twice would be two turns for one.
    turns: VecDeque<u32>,
    /// May hold times that are over or were moved; they are checked when they come up.
    holds: BTreeSet<(Timestamp, u32)>,
}

impl ReadyRing {
    /// Gives the endpoint its turn, or its place among the held, if it has something to claim.
    /// Whether a waiting worker should look again.
    ///
    /// The order of the checks matters: a closed gate hides a hold, and a hold hides a batch that
    /// fills, since the later of them is looked at once the earlier is over.
    pub(crate) fn admit(&mut self, handle: u32, entry: &mut EndpointEntry, now: Timestamp) -> bool {
        if !entry.is_claimable() {
            return false;
        }
        if let Some(until) = entry.held_until(now) {
            // Woken too: who waits has to wait no longer than until this time.
            self.holds.insert((until, handle));
            return true;
        }
        if let Some(until) = entry.filling_until(now) {
            // Who waits knows of this time after it was put in.
            let is_news = self.holds.insert((until, handle));
            // Suspects do not wait for a batch, so with one the endpoint has its turn all the same.
            if entry.suspects.is_empty() {
                return is_news;
            }
        }
        // Not at once a second time: the endpoint keeps the place in the ring that it has.
        if !entry.in_ring {
            entry.in_ring = true;
            self.turns.push_back(handle);
        }
        true
    }

    /// The endpoint whose turn it is, taken out of the ring.
    ///
    /// Closed endpoints fall out here, and come back by `admit` when they open: a gate that closes
    /// is noticed by the one claim that meets it, and costs nobody a search.
    pub(crate) fn next(
        &mut self,
        endpoints: &mut Arena<EndpointEntry>,
        now: Timestamp,
    ) -> Option<u32> {
        loop {
            let handle = self.turns.pop_front()?;
            // A tombstone may have been dropped since.
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
                // Not lost: its hold, or its batch, brings it back.
                Some(until) => drop(self.holds.insert((until, handle))),
            }
        }
    }

    /// Gives those their turn whose hold is over.
    ///
    /// What is still not to be claimed (a longer hold was set meanwhile) goes back under its new
    /// time.
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
    ///
    /// A time that is not the endpoint's current one is stale and is dropped: reported, it would
    /// wake all claimers for nothing, again and again.
    pub(crate) fn next_hold(
        &mut self,
        endpoints: &mut Arena<EndpointEntry>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        while let Some(&(until, handle)) = self.holds.first() {
            let mut entry = endpoints.get_mut(handle);
            let lasts = |e: &EndpointEntry| {
                e.gate.held_until == Some(until) || e.filling_until(now) == Some(until)
            };
            if entry.as_ref().is_some_and(|e| e.is_claimable() && lasts(e)) {
                return Some(until);
            }
            self.holds.pop_first();
            // It goes on under its current time: the oldest of a batch may have left, and what is
            // left of it would never be due. What is closed comes back when its gate opens.
            if let Some(entry) = entry.as_mut() {
                self.admit(handle, entry, now);
            }
        }
        None
    }

    /// Forgets an endpoint whose handle goes to another.
    ///
    /// A new endpoint with the same handle would otherwise come with the turns and holds of the old
    /// one.
    pub(crate) fn forget(&mut self, handle: u32) {
        self.turns.retain(|h| *h != handle);
        self.holds.retain(|(_, h)| *h != handle);
    }
}

//! Events: each is kept once, for all of its deliveries, and some time beyond them.

use std::collections::btree_map::Entry;
use std::ops::{Bound, RangeBounds};

use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{EventQuery, EventRecord};
use webhooks_core::{EventId, Timestamp};

use crate::event_row::EventRow;
use crate::listing::MOST_SCANNED;
use crate::state::State;

impl State {
    /// The handle of an event, and whether it is kept from now on. One that is there stays as it is.
    ///
    /// Whoever calls it calls [`note_bare`](Self::note_bare) when all deliveries are made.
    pub(crate) fn event_of(&mut self, new: &NewEvent) -> (u32, bool) {
        match self.events_by_id.entry(new.event.id) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(place) => {
                let handle = self.events.insert(EventRow::new(new));
                (*place.insert(handle), true)
            }
        }
    }

    /// Notes whether something refers to an event, after that may have changed.
    pub(crate) fn note_bare(&mut self, handle: u32) {
        let row = self.events.at_mut(handle);
        if row.deliveries.is_empty() && !self.fan_outs.contains_key(&row.event.id) {
            self.bare.insert(handle, row);
        } else {
            self.bare.remove(row);
        }
    }

    /// Lets the oldest bare events fall out. At the end of each call, so that no handle of an event
    /// becomes another's in the middle of one.
    pub(crate) fn trim_events(&mut self) {
        let (most, most_bytes) = (self.limits.events, self.limits.event_bytes);
        while let Some(oldest) = self.bare.pop_over(most, most_bytes, &self.events) {
            if let Some(handle) = oldest {
                self.drop_event(handle);
            }
        }
    }

    /// Drops bare events that were sent at this time or before. How many there were.
    ///
    /// All that are bare are looked at, on whose number there is a bound.
    pub(crate) fn drop_events(&mut self, cutoff: Timestamp, limit: usize) -> usize {
        let is_old = |handle: &u32| self.events.at(*handle).event.created_at <= cutoff;
        let old = self.bare.iter(&self.events).filter(is_old);
        let old: Vec<_> = old.take(limit).collect();
        for handle in &old {
            self.drop_event(*handle);
        }
        old.len()
    }

    /// Drops an event to which nothing refers.
    pub(crate) fn drop_event(&mut self, handle: u32) {
        let mut row = self.events.remove(handle);
        self.bare.remove(&mut row);
        self.events_by_id.remove(&row.event.id);
    }

    /// Empties an event's payload. The bytes themselves go when the last request lets go of them.
    pub(crate) fn empty_event(&mut self, handle: u32) {
        let row = self.events.at_mut(handle);
        self.bare.empty(row);
        row.event = row.without_payload();
    }

    /// Adds events that match to `found`, looking at a bounded number of them. Where to go on, if
    /// there is more to look at.
    pub(crate) fn scan_events(
        &self,
        query: &EventQuery,
        found: &mut Vec<EventRecord>,
    ) -> Option<EventId> {
        let mut last = None;
        for (looked, (id, handle)) in self.event_candidates(query).enumerate() {
            if found.len() >= query.limit {
                return None;
            }
            if looked == MOST_SCANNED {
                return last;
            }
            last = Some(id);
            let row = self.events.at(handle);
            if query.matches(&row.event) {
                found.push(row.record(query.with_payload));
            }
        }
        None
    }

    /// The events that a query may match, in the order of its listing, behind its page.
    fn event_candidates(
        &self,
        query: &EventQuery,
    ) -> Box<dyn Iterator<Item = (EventId, u32)> + '_> {
        let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_up = query.after.is_some();
        // No id is between them; `range` would panic.
        if (query.after.zip(query.before)).is_some_and(|(after, before)| after >= before) {
            return Box::new(std::iter::empty());
        }
        if let Some(ids) = &query.ids {
            let mut ids = ids.clone();
            ids.retain(|id| (after, before).contains(id));
            ids.sort_unstable_by(|a, b| if is_up { a.cmp(b) } else { b.cmp(a) });
            ids.dedup();
            let handle = |id: EventId| Some((id, *self.events_by_id.get(&id)?));
            return Box::new(ids.into_iter().filter_map(handle));
        }
        let range = self.events_by_id.range((after, before));
        let range = range.map(|(id, handle)| (*id, *handle));
        match is_up {
            true => Box::new(range),
            false => Box::new(range.rev()),
        }
    }
}

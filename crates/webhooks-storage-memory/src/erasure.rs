//! Dropping payloads: of one delivery, and of whole events.

use std::ops::Bound;

use webhooks_core::storage::DeliveryQuery;
use webhooks_core::{CancelReason, EventId, Timestamp};

use crate::listing::MOST_SCANNED;
use crate::state::State;

impl State {
    /// Drops the payload of one delivery, and that of its event with the last of its deliveries.
    ///
    /// An event that is not yet stored for all of its endpoints has more deliveries than are there.
    pub(crate) fn erase(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at_mut(handle);
        row.erased = true;
        let event = row.event;
        let entry = self.events.at_mut(event);
        entry.erased_rows += 1;
        let is_last = entry.erased_rows == entry.deliveries.len();
        if is_last && !self.fan_outs.contains_key(&entry.event.id) {
            self.empty_event(event);
        }
        self.end_erased(handle, now);
    }

    /// What cannot be sent any more must not wait, nor hold others. A leased one is cancelled when
    /// it would wait again.
    fn end_erased(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        if row.is_idle() {
            self.cancel(handle, CancelReason::Erased, now);
        } else if row.state.is_ended() {
            self.leave_line(handle, now);
        }
    }

    /// Drops the payloads of events that match as a whole, looking at a bounded number of them
    /// behind `before`. Where to go on, if there is more to look at.
    ///
    /// After the deliveries: what is left then are events without any, and deliveries that have
    /// changed since the query's time, which have nothing to send either.
    pub(crate) fn erase_events(
        &mut self,
        query: &DeliveryQuery,
        before: Option<EventId>,
        now: Timestamp,
    ) -> Option<EventId> {
        let (found, next) = self.events_to_erase(query, before);
        for handle in found {
            self.empty_event(handle);
            let rows: Vec<_> = self.events.at(handle).deliveries.iter().collect();
            for row in rows {
                // What is cancelled may push older ended rows out.
                if self.rows.get(row).is_some() {
                    self.end_erased(row, now);
                }
            }
        }
        next
    }

    fn events_to_erase(
        &self,
        query: &DeliveryQuery,
        before: Option<EventId>,
    ) -> (Vec<u32>, Option<EventId>) {
        let is_meant = |handle: &u32| {
            let event = self.events.at(*handle);
            !event.is_erased() && query.is_of_event(&event.event)
        };
        if let Some(id) = query.event_id {
            let named = self.events_by_id.get(&id).copied();
            return (named.into_iter().filter(is_meant).collect(), None);
        }
        let (mut found, mut last) = (Vec::new(), None);
        let before = before.map_or(Bound::Unbounded, Bound::Excluded);
        let events = self.events_by_id.range((Bound::Unbounded, before)).rev();
        for (looked, (id, handle)) in events.enumerate() {
            if looked == MOST_SCANNED {
                return (found, last);
            }
            last = Some(*id);
            found.extend(Some(*handle).filter(is_meant));
        }
        (found, None)
    }
}

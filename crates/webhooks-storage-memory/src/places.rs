//! Where rows are: each in the one place that its state names. [`State::leave`] and [`State::enter`]
//! are the only ways out of and into a place, and keep the counts right.

use webhooks_core::storage::Counts;
use webhooks_core::{CancelReason, DeadReason, DeliveryState, Timestamp};

use crate::row::Row;
use crate::state::State;

impl State {
    /// Keeps a new row, for whose id `by_id` has its handle already.
    pub(crate) fn insert(&mut self, row: Row, now: Timestamp) {
        let (id, event, endpoint, order) = (row.id, row.event, row.endpoint, row.order());
        let waits = !row.state.is_ended();
        let handle = self.rows.insert(row);
        let deliveries = &mut self.events.at_mut(event).deliveries;
        deliveries.insert(endpoint, handle);
        self.endpoints.at_mut(endpoint).rows.insert(id, handle);
        if let Some(order) = order {
            self.orders.at_mut(order).rows += 1;
            if waits {
                self.join_line(handle);
            }
        }
        self.count(endpoint, |c| c.enqueued += 1);
        self.enter(handle, now);
    }

    /// Moves a row to another place.
    pub(crate) fn move_to(&mut self, handle: u32, to: DeliveryState, now: Timestamp) {
        self.leave(handle, now);
        let row = self.rows.at_mut(handle);
        row.state = to;
        row.updated_at = now;
        self.enter(handle, now);
    }

    /// Moves a row to where it waits until it is due.
    pub(crate) fn wait_until(&mut self, handle: u32, due_at: Timestamp, now: Timestamp) {
        self.leave(handle, now);
        let row = self.rows.at_mut(handle);
        row.due_at = due_at;
        row.state = waiting_state(due_at, now);
        row.updated_at = now;
        self.enter(handle, now);
    }

    /// Moves a row to the dead letters.
    pub(crate) fn bury(&mut self, handle: u32, reason: DeadReason, now: Timestamp) {
        self.rows.at_mut(handle).dead_reason = Some(reason);
        self.move_to(handle, DeliveryState::Dead, now);
    }

    /// Cancels a row.
    pub(crate) fn cancel(&mut self, handle: u32, reason: CancelReason, now: Timestamp) {
        self.rows.at_mut(handle).cancel_reason = Some(reason);
        self.move_to(handle, DeliveryState::Cancelled, now);
    }

    /// Drops a row. The totals of what ended stay.
    ///
    /// `leave` takes a row out of its count, as for a replay; here what has ended goes on counting,
    /// or the sum of all states would no longer be what was enqueued.
    pub(crate) fn remove(&mut self, handle: u32, now: Timestamp) {
        self.leave(handle, now);
        // A dead one may have held those behind it.
        self.leave_line(handle, now);
        let row = self.rows.remove(handle);
        if row.state.is_ended() {
            self.count(row.endpoint, |c| *count_of(c, row.state) += 1);
        }
        self.by_id.remove(&row.id);
        self.endpoints.at_mut(row.endpoint).rows.remove(&row.id);
        if let Some(order) = row.order() {
            self.drop_from_order(order);
        }
        let event = self.events.at_mut(row.event);
        event.deliveries.remove(row.endpoint, handle);
        event.erased_rows -= usize::from(row.erased);
        if event.deliveries.is_empty() {
            self.note_bare(row.event);
        }
    }

    /// Puts a row into the place that its state names.
    pub(crate) fn enter(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (endpoint, state) = (row.endpoint, row.state);
        if let Some(count) = self.events.at_mut(row.event).count_of(state) {
            *count += 1;
        }
        match state {
            DeliveryState::Blocked => drop(self.blocked.insert(row.age_key(), handle)),
            DeliveryState::Ready => {
                let (key, suspect) = (row.ready_key(), row.is_poison_suspect());
                let entry = self.endpoints.at_mut(endpoint);
                if entry.fills_with(row) {
                    entry.filling.insert(row);
                }
                entry.queue_of(suspect).insert(key, handle);
            }
            DeliveryState::Scheduled => {
                let key = row.due_key();
                // A waiting worker knows the time of the first one only.
                let first = self.scheduled.first_key_value();
                self.wake |= first.is_none_or(|(first, _)| key < *first);
                self.scheduled.insert(key, handle);
            }
            DeliveryState::Leased => {
                self.workers.at_mut(row.worker).leased.insert(handle);
            }
            DeliveryState::Dead => {
                self.dead.insert(row.id, handle);
                self.dead_by_age.insert((row.updated_at, handle));
            }
            DeliveryState::Delivered | DeliveryState::Cancelled => {
                self.ended.push_back((handle, row.seq));
            }
        }
        let has_left_line = state.is_ended() && !self.holds_order(self.rows.at(handle));
        self.count(endpoint, |c| *count_of(c, state) += 1);
        if state == DeliveryState::Ready {
            self.admit(endpoint, now);
        }
        if has_left_line {
            self.leave_line(handle, now);
            self.trim_ended(now);
        }
    }

    /// Takes a row out of the place that its state names. Nothing that is part of the place's key
    /// may have changed since it was put there: due time, number, time of sending, priority, and
    /// crashes of a ready row.
    pub(crate) fn leave(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (endpoint, state) = (row.endpoint, row.state);
        if let Some(count) = self.events.at_mut(row.event).count_of(state) {
            *count -= 1;
        }
        match state {
            DeliveryState::Blocked => drop(self.blocked.remove(&row.age_key())),
            DeliveryState::Ready => {
                let (key, suspect) = (row.ready_key(), row.is_poison_suspect());
                let entry = self.endpoints.at_mut(endpoint);
                // As it was when the row was put in: a changed definition fills the set anew.
                if entry.fills_with(row) {
                    entry.filling.remove(row);
                }
                entry.queue_of(suspect).remove(&key);
            }
            DeliveryState::Scheduled => drop(self.scheduled.remove(&row.due_key())),
            DeliveryState::Leased => {
                self.workers.at_mut(row.worker).leased.remove(&handle);
            }
            DeliveryState::Dead => {
                self.dead.remove(&row.id);
                self.dead_by_age.remove(&(row.updated_at, handle));
            }
            // Their entry in `ended` is passed over when it comes up, by its number.
            DeliveryState::Delivered | DeliveryState::Cancelled => {}
        }
        self.count(endpoint, |c| *count_of(c, state) -= 1);
        // It may have been the one too many of a gate.
        let is_limited = self.endpoints.at(endpoint).gate.max_leased.is_some();
        if state == DeliveryState::Leased && is_limited {
            self.admit(endpoint, now);
        }
    }

    /// Lets the oldest ended rows fall out.
    ///
    /// Without a bound, a busy storage would grow by every delivery that went well, until the next
    /// sweep.
    fn trim_ended(&mut self, now: Timestamp) {
        while self.ended.len() > self.limits.ended {
            self.drop_oldest_ended(now);
        }
    }

    /// Drops the row that ended first. Whether there was one that still exists.
    ///
    /// The handle of a purged row may be another's by now, so the number has to agree. One that was
    /// sent again has a new number.
    pub(crate) fn drop_oldest_ended(&mut self, now: Timestamp) -> bool {
        let Some((handle, seq)) = self.ended.pop_front() else {
            return false;
        };
        let exists = self.rows.get(handle).is_some_and(|r| r.seq == seq);
        if exists {
            self.remove(handle, now);
        }
        exists
    }
}

/// The count of those that are in a state.
pub(crate) const fn count_of(counts: &mut Counts, state: DeliveryState) -> &mut u64 {
    match state {
        DeliveryState::Blocked => &mut counts.blocked,
        DeliveryState::Ready => &mut counts.ready,
        DeliveryState::Scheduled => &mut counts.scheduled,
        DeliveryState::Leased => &mut counts.leased,
        DeliveryState::Delivered => &mut counts.delivered,
        DeliveryState::Dead => &mut counts.dead,
        DeliveryState::Cancelled => &mut counts.cancelled,
    }
}

/// The state of what waits until `due_at`.
pub(crate) fn waiting_state(due_at: Timestamp, now: Timestamp) -> DeliveryState {
    if due_at > now {
        DeliveryState::Scheduled
    } else {
        DeliveryState::Ready
    }
}

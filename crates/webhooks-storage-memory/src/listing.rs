//! Listings, and changes of many deliveries at once. Both look at a bounded number of rows per hold
//! of the lock and say where to go on.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use webhooks_core::storage::{Change, Changed, DeliveryQuery, DeliveryRecord};
use webhooks_core::{CancelReason, DeliveryId, DeliveryState, EventId, Timestamp, WebhookEvent};

use crate::row::Row;
use crate::state::State;

/// Rows that a listing looks at before it lets others have a turn: about a millisecond of them.
const MOST_SCANNED: usize = 10_000;

impl State {
    /// Adds what matches to `found`, looking at a bounded number of rows. Where to go on, if there
    /// is more to look at: listing a million rows must not keep everybody else waiting.
    ///
    /// The caller lets go of the lock between two looks; ids only grow, so that what is made
    /// meanwhile stands before the place where it goes on, and is on no later page.
    pub(crate) fn scan(
        &self,
        query: &DeliveryQuery,
        found: &mut Vec<DeliveryRecord>,
    ) -> Option<DeliveryId> {
        let limit = query.limit.saturating_sub(found.len());
        let (handles, rest) = self.find(query, limit, MOST_SCANNED, |_| true);
        found.extend(handles.into_iter().map(|handle| self.record(handle)));
        rest.filter(|_| found.len() < query.limit)
    }

    /// Looks at a bounded number of rows, so that a change of a million keeps nobody waiting.
    ///
    /// A step may change nothing and still have a `next`: it looked at rows to which nothing
    /// applies.
    pub(crate) fn change(
        &mut self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Changed {
        // Before the deliveries: a part that comes between could make new ones that the change
        // should meet.
        self.end_fan_outs(query, to);
        let mut erased = HashMap::new();
        // What applies is found first and changed then. Nothing is inserted in between, so a handle
        // that is still in use is still the same row's.
        let (found, next) = self.find(query, limit, MOST_SCANNED, |row| self.applies(row, to));
        let mut changed = 0;
        for handle in found {
            // What is cancelled may push older ended rows out, which may be in the list too.
            let Some(row) = self.rows.get(handle) else {
                continue;
            };
            match to {
                Change::Replay => {
                    // Each replay fills the backlog by one.
                    if self.is_full(row.endpoint) {
                        continue;
                    }
                    self.replay(handle, now);
                }
                Change::Cancel => self.cancel(handle, CancelReason::ByHand, now),
                Change::Purge => self.purge(handle, now),
                Change::Erase => self.erase(handle, &mut erased, now),
            }
            changed += 1;
        }
        Changed::new(changed, next)
    }

    /// Handles of up to `limit` rows that match, newest first, among the first `most` rows; and the
    /// last of these, if there may be more.
    ///
    /// `most` counts what was looked at, not what was found: a filter that matches nothing would
    /// otherwise hold the lock over a million rows.
    fn find(
        &self,
        query: &DeliveryQuery,
        limit: usize,
        most: usize,
        also: impl Fn(&Row) -> bool,
    ) -> (Vec<u32>, Option<DeliveryId>) {
        let endpoint = match &query.endpoint_id {
            None => None,
            Some(id) => match self.endpoint_handles.get(id) {
                None => return (Vec::new(), None),
                Some(handle) => Some(*handle),
            },
        };
        // Dead letters are looked through most, and are few among many.
        let only_dead = query.states.as_slice() == [DeliveryState::Dead];
        let index = if only_dead { &self.dead } else { &self.by_id };
        let mut left = most;
        let (mut found, mut last) = (Vec::new(), None);
        for (id, handle) in range(index, query).rev() {
            // Asked before the next row: `last` is the last one that was looked at, so that going
            // on before it misses nothing.
            if found.len() >= limit || left == 0 {
                return (found, last);
            }
            left -= 1;
            last = Some(*id);
            let row = self.rows.at(*handle);
            if endpoint.is_none_or(|e| e == row.endpoint) && matches(query, row) && also(row) {
                found.push(*handle);
            }
        }
        (found, None)
    }

    fn record(&self, handle: u32) -> DeliveryRecord {
        let row = self.rows.at(handle);
        let mut record = DeliveryRecord::new(self.delivery(row), row.state, row.updated_at);
        record.dead_reason = row.dead_reason;
        record.cancel_reason = row.cancel_reason;
        record
    }

    /// Whether a change applies to a row. A leased one is its holder's: only its payload can be
    /// erased, and what comes of it is decided at its settlement.
    fn applies(&self, row: &Row, to: Change) -> bool {
        let is_idle = matches!(row.state, DeliveryState::Ready | DeliveryState::Scheduled);
        match to {
            Change::Replay => row.state == DeliveryState::Dead && self.stranded(row).is_none(),
            Change::Cancel => is_idle,
            Change::Purge => row.state.is_ended(),
            Change::Erase => !row.is_erased(),
        }
    }

    /// Lets a dead letter begin a new series: attempts and crashes from 0, behind what was sent
    /// before now. The token stays, so that nobody who held it earlier can settle it.
    fn replay(&mut self, handle: u32, now: Timestamp) {
        self.next_seq += 1;
        let row = self.rows.at_mut(handle);
        (row.attempts, row.crashes, row.dead_reason) = (0, 0, None);
        // A dead row has no place that its number or its time of sending names.
        (row.sent_at, row.seq) = (now, self.next_seq);
        self.wait_until(handle, now, now);
    }

    /// Drops an ended row. A dead one goes from the dead to the purged, so that the sum of the
    /// counts stays; what was delivered or cancelled stays in its total.
    fn purge(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (endpoint, was_dead) = (row.endpoint, row.state == DeliveryState::Dead);
        self.remove(handle, now);
        // [`State::remove`] counts the dead row on, as for one that expired.
        if was_dead {
            self.count(endpoint, |c| {
                c.dead -= 1;
                c.purged += 1;
            });
        }
    }

    /// Drops the payload; one event without it is shared by all deliveries of the call.
    ///
    /// The bytes themselves go when the last delivery of the event lets go of them; a request in
    /// flight holds them until it ends.
    fn erase(
        &mut self,
        handle: u32,
        erased: &mut HashMap<EventId, Arc<WebhookEvent>>,
        now: Timestamp,
    ) {
        let row = self.rows.at_mut(handle);
        let without = erased.entry(row.event.id).or_insert_with(|| {
            Arc::new(WebhookEvent {
                payload: Default::default(),
                ..(*row.event).clone()
            })
        });
        row.event = Arc::clone(without);
        // What cannot be sent any more must not wait. A leased one is cancelled when it would wait
        // again.
        if matches!(row.state, DeliveryState::Ready | DeliveryState::Scheduled) {
            self.cancel(handle, CancelReason::Erased, now);
        }
    }
}

/// The part of the index that a query can match, by its id and its page. A page before the id asked
/// for is empty: `range` panics on a start behind its end.
fn range<'a>(
    index: &'a BTreeMap<DeliveryId, u32>,
    query: &DeliveryQuery,
) -> std::collections::btree_map::Range<'a, DeliveryId, u32> {
    let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
    match (query.id, query.before) {
        (None, _) => index.range((Bound::Unbounded, before)),
        (Some(id), Some(before)) if id >= before => index.range(before..before),
        (Some(id), _) => index.range(id..=id),
    }
}

fn matches(query: &DeliveryQuery, row: &Row) -> bool {
    let event = &row.event;
    query.event_id.is_none_or(|id| id == event.id)
        && query
            .event_type
            .as_deref()
            .is_none_or(|t| t == event.event_type.as_str())
        && query
            .tenant
            .as_deref()
            .is_none_or(|t| Some(t) == event.tenant.as_deref())
        && (query.states.is_empty() || query.states.contains(&row.state))
        && query.from.is_none_or(|from| from <= event.created_at)
        && query.to.is_none_or(|to| event.created_at < to)
        && query.updated_before.is_none_or(|at| row.updated_at < at)
}

//! Listings and counts of what matches. Each hold of the lock looks at a bounded number of rows and
//! says where to go on.

use std::collections::HashMap;
use std::num::NonZeroU16;

use webhooks_core::DeliveryId;
use webhooks_core::storage::{DeliveryQuery, DeliveryRecord, GroupBy, GroupKey};

use crate::row::Row;
use crate::state::State;

/// Rows that a listing looks at before it lets others have a turn: about a millisecond of them.
pub(crate) const MOST_SCANNED: usize = 10_000;

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
        let (handles, rest) = self.find(query, limit, |_| true);
        found.extend(handles.into_iter().map(|handle| self.record(handle)));
        rest.filter(|_| found.len() < query.limit)
    }

    /// Counts what matches into `groups`, at most `limit` rows, looking at a bounded number of them.
    /// How many it counted, and where to go on, if there is more to look at.
    pub(crate) fn count_into(
        &self,
        groups: &mut HashMap<GroupKey, u64>,
        query: &DeliveryQuery,
        by: &[GroupBy],
        limit: usize,
    ) -> (usize, Option<DeliveryId>) {
        let (handles, rest) = self.find(query, limit, |_| true);
        if by.is_empty() {
            *groups.entry(GroupKey::default()).or_insert(0) += handles.len() as u64;
        } else {
            for handle in &handles {
                let key = GroupKey::of(&self.record(*handle), by);
                *groups.entry(key).or_insert(0) += 1;
            }
        }
        (handles.len(), rest)
    }

    /// Handles of up to `limit` rows that match, newest first, among a bounded number of rows; and
    /// the last of these, if there may be more.
    ///
    /// The bound is on what was looked at, not on what was found: a filter that matches nothing
    /// would otherwise hold the lock over a million rows.
    pub(crate) fn find(
        &self,
        query: &DeliveryQuery,
        limit: usize,
        also: impl Fn(&Row) -> bool,
    ) -> (Vec<u32>, Option<DeliveryId>) {
        let mut left = MOST_SCANNED;
        let (mut found, mut last) = (Vec::new(), None);
        for (id, handle) in self.candidates(query) {
            // Asked before the next row: `last` is the last one that was looked at, so that going
            // on before it misses nothing.
            if found.len() >= limit || left == 0 {
                return (found, last);
            }
            left -= 1;
            last = Some(id);
            let row = self.rows.at(handle);
            if self.matches(query, row) && also(row) {
                found.push(handle);
            }
        }
        (found, None)
    }

    /// Whether a row matches, its place in the listing and its id aside, by which it was found.
    fn matches(&self, query: &DeliveryQuery, row: &Row) -> bool {
        let event = &self.events.at(row.event).event;
        let endpoint_id = &self.endpoints.at(row.endpoint).id;
        let status = row.last_status.map(NonZeroU16::get);
        query.event_id.is_none_or(|id| id == event.id)
            && (query.endpoint_ids.as_ref()).is_none_or(|ids| ids.contains(endpoint_id))
            && (query.event_type.as_ref()).is_none_or(|of| of.matches(&event.event_type))
            && (query.tenant.as_deref()).is_none_or(|of| Some(of) == event.tenant.as_deref())
            && (query.states.is_empty() || query.states.contains(&row.state))
            && is_one_of(&query.dead_reasons, row.dead_reason)
            && is_one_of(&query.last_failures, row.last_failure)
            && (query.last_status).is_none_or(|of| of.matches(status, row.last_failure))
            && query.from.is_none_or(|from| from <= event.created_at)
            && query.to.is_none_or(|to| event.created_at < to)
            && query.updated_from.is_none_or(|from| from <= row.updated_at)
            && query.updated_before.is_none_or(|at| row.updated_at < at)
    }

    fn record(&self, handle: u32) -> DeliveryRecord {
        let row = self.rows.at(handle);
        let mut record = DeliveryRecord::new(self.delivery(row), row.state, row.updated_at);
        record.dead_reason = row.dead_reason;
        record.cancel_reason = row.cancel_reason;
        record.last_status = row.last_status.map(NonZeroU16::get);
        record.last_failure = row.last_failure;
        record
    }
}

/// Whether it is one of these, or any will do.
fn is_one_of<T: PartialEq>(wanted: &[T], got: Option<T>) -> bool {
    wanted.is_empty() || got.is_some_and(|got| wanted.contains(&got))
}

//! Where a query looks: never through all rows where an index holds fewer.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;

use webhooks_core::storage::DeliveryQuery;
use webhooks_core::{DeliveryId, DeliveryState};

use crate::state::State;

/// Rows by id and handle, newest first.
type Candidates<'a> = Box<dyn Iterator<Item = (DeliveryId, u32)> + 'a>;

impl State {
    /// The rows that a query may match, newest first, behind its page. Every row that it matches is
    /// among them.
    pub(crate) fn candidates(&self, query: &DeliveryQuery) -> Candidates<'_> {
        if let Some(ids) = &query.ids {
            return self.named(ids, query.before);
        }
        if let Some(event) = query.event_id {
            let event = self.events_by_id.get(&event).copied();
            let rows = event
                .into_iter()
                .flat_map(|event| self.events.at(event).deliveries.iter());
            let ids = rows.map(|row| (self.rows.at(row).id, row));
            return sorted(ids.collect(), query.before);
        }
        // Dead letters are looked through most, and are few among many.
        let is_of_dead =
            query.states.as_slice() == [DeliveryState::Dead] || !query.dead_reasons.is_empty();
        let all = if is_of_dead { &self.dead } else { &self.by_id };
        let Some(ids) = &query.endpoint_ids else {
            return Box::new(behind(all, query.before).rev().map(entry));
        };
        let handles = ids.iter().filter_map(|id| self.endpoint_handles.get(id));
        let mut handles: Vec<u32> = handles.copied().collect();
        handles.sort_unstable();
        handles.dedup();
        let of_endpoints = handles
            .iter()
            .map(|handle| &self.endpoints.at(*handle).rows);
        match of_endpoints.clone().map(BTreeMap::len).sum::<usize>() {
            rows if rows > all.len() => Box::new(behind(all, query.before).rev().map(entry)),
            _ => merged(
                of_endpoints
                    .map(|rows| behind(rows, query.before))
                    .collect(),
            ),
        }
    }

    fn named(&self, ids: &[DeliveryId], before: Option<DeliveryId>) -> Candidates<'_> {
        let there = ids
            .iter()
            .filter_map(|id| Some((*id, *self.by_id.get(id)?)));
        sorted(there.collect(), before)
    }
}

/// These rows, in any order and perhaps twice, as far as they are behind the page before.
fn sorted(mut rows: Vec<(DeliveryId, u32)>, before: Option<DeliveryId>) -> Candidates<'static> {
    rows.retain(|(id, _)| before.is_none_or(|before| *id < before));
    rows.sort_unstable_by(|a, b| b.cmp(a));
    rows.dedup();
    Box::new(rows.into_iter())
}

/// The part of an index that is behind the page before.
fn behind(
    index: &BTreeMap<DeliveryId, u32>,
    before: Option<DeliveryId>,
) -> Range<'_, DeliveryId, u32> {
    let before = before.map_or(Bound::Unbounded, Bound::Excluded);
    index.range((Bound::Unbounded, before))
}

/// Several parts as one: each step takes the newest of what is left.
fn merged(mut parts: Vec<Range<'_, DeliveryId, u32>>) -> Candidates<'_> {
    let firsts = parts.iter_mut().enumerate();
    let firsts = firsts.filter_map(|(part, rows)| Some((rows.next_back().map(entry)?, part)));
    let mut firsts: BinaryHeap<_> = firsts.collect();
    Box::new(std::iter::from_fn(move || {
        let (row, part) = firsts.pop()?;
        let next = parts.get_mut(part).and_then(Range::next_back);
        firsts.extend(next.map(|next| (entry(next), part)));
        Some(row)
    }))
}

fn entry((id, handle): (&DeliveryId, &u32)) -> (DeliveryId, u32) {
    (*id, *handle)
}

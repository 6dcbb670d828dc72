//! Events as they are listed. Each partition that has deliveries of an event has the event, too: what it
//! tells of it is put together here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::{EventQuery, EventRecord, Page, StateCounts};
use webhooks_core::{DeliveryState, EventId, Result};

use crate::args::Args;
use crate::filter::{event_filter, text};
use crate::kept_events::KeptEvent;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, named};
use crate::script::Script;

/// Deliveries of one event that one run of a script reads at most.
const MOST_READ: usize = 1_000;

/// What a partition tells of an event.
#[derive(Debug)]
struct Told {
    kept: KeptEvent,
    payload_bytes: usize,
    deliveries: StateCounts,
}

impl PlainStorage {
    /// A page of events. Each partition gives a page of its own, since any of them may have the next one.
    pub(crate) async fn list_events(
        &self,
        query: &EventQuery,
    ) -> Result<Page<EventRecord, EventId>> {
        if query.ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Page::new(Vec::new(), None));
        }
        let partitions = 0..self.connection.keys.partitions();
        let lists = partitions.map(|partition| self.events_of(partition, query));
        // What is among the first of all is among the first of each partition that has it.
        let mut all: BTreeMap<Uuid, Told> = BTreeMap::new();
        for (id, told) in try_join_all(lists).await?.into_iter().flatten() {
            match all.entry(id) {
                Entry::Vacant(entry) => drop(entry.insert(told)),
                Entry::Occupied(mut entry) => entry.get_mut().add(told),
            }
        }
        let all = all.into_values().map(record);
        let items: Vec<_> = match query.after {
            Some(_) => all.take(query.limit).collect(),
            None => all.rev().take(query.limit).collect(),
        };
        let last = items.last().map(|item| item.event.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    /// The first events that a partition has, as many as the page may hold.
    async fn events_of(&self, partition: usize, query: &EventQuery) -> Result<Vec<(Uuid, Told)>> {
        let mut found = Vec::new();
        let cursor = |id: EventId| text(id.as_uuid());
        let (mut before, mut after) = (query.before.map(cursor), query.after.map(cursor));
        while found.len() < query.limit {
            let mut args = event_filter(query, before.as_deref(), after.as_deref());
            args.number(query.limit - found.len())
                .flag(query.with_payload);
            let script = Script::Events;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            let mut list = reply.list()?;
            while !list.is_over() {
                let id = list.uuid()?;
                let (kept, payload_bytes) = (KeptEvent::read(id, list.bytes()?)?, list.number()?);
                let deliveries = match read_counts(list.list()?)? {
                    Some(counts) => counts,
                    None => self.count_states(partition, id).await?,
                };
                let told = Told {
                    kept,
                    payload_bytes,
                    deliveries,
                };
                found.push((id, told));
            }
            let next = Some(reply.text()?).filter(|next| !next.is_empty());
            if next.is_none() {
                break;
            }
            match after.is_some() {
                true => after = next,
                false => before = next,
            }
        }
        Ok(found)
    }

    /// Counts the deliveries of an event that has many, some at a time.
    async fn count_states(&self, partition: usize, id: Uuid) -> Result<StateCounts> {
        // What was made again after it was removed is listed twice.
        let (mut states, mut first) = (HashMap::new(), 0);
        loop {
            let mut args = Args::default();
            args.uuid(id).number(first).number(MOST_READ);
            let script = Script::EventStates;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            if reply.is_over() {
                break;
            }
            while !reply.is_over() {
                states.insert(reply.uuid()?, reply.text()?);
            }
            first += MOST_READ;
        }
        let mut counts = StateCounts::default();
        for state in states.values().filter(|state| !state.is_empty()) {
            counts.add(named(state)?, 1);
        }
        Ok(counts)
    }
}

impl Told {
    /// Adds what another partition tells of the same event: one may have no payload that is erased
    /// there alone.
    fn add(&mut self, other: Self) {
        for state in DeliveryState::ALL {
            self.deliveries.add(*state, of(&other.deliveries, *state));
        }
        if self.payload_bytes < other.payload_bytes {
            self.kept = other.kept;
            self.payload_bytes = other.payload_bytes;
        }
    }
}

const fn of(counts: &StateCounts, state: DeliveryState) -> u64 {
    match state {
        DeliveryState::Blocked => counts.blocked,
        DeliveryState::Ready => counts.ready,
        DeliveryState::Scheduled => counts.scheduled,
        DeliveryState::Leased => counts.leased,
        DeliveryState::Delivered => counts.delivered,
        DeliveryState::Dead => counts.dead,
        DeliveryState::Cancelled => counts.cancelled,
    }
}

/// The event as it is listed: without a payload anywhere it is erased, for none begins without one.
fn record(told: Told) -> EventRecord {
    let mut record = EventRecord::new(told.kept.event);
    record.priority = told.kept.priority;
    record.due_at = told.kept.due_at;
    record.max_retries = told.kept.max_retries;
    record.payload_bytes = told.payload_bytes;
    record.payload_erased = told.payload_bytes == 0;
    record.deliveries = told.deliveries;
    record
}

/// The counts in the order of the states; nothing where there are too many.
fn read_counts(mut list: Reply) -> Result<Option<StateCounts>> {
    if list.is_over() {
        return Ok(None);
    }
    let mut counts = StateCounts::default();
    for state in DeliveryState::ALL {
        counts.add(*state, list.number()?);
    }
    Ok(Some(counts))
}

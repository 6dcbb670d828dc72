//! The one data structure behind the storage's lock, and what follows from it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use webhooks_core::storage::Counts;
use webhooks_core::{CancelReason, DeliveryId, EventId, Timestamp, WorkerId};

use crate::MemoryLimits;
use crate::arena::Arena;
use crate::attempt_log::AttemptLog;
use crate::bare_events::BareEvents;
use crate::endpoint_entry::EndpointEntry;
use crate::event_row::EventRow;
use crate::idempotency::IdempotencyKeys;
use crate::order::{Order, OrderKey};
use crate::ready_ring::ReadyRing;
use crate::row::Row;
use crate::unfinished::Unfinished;
use crate::worker::Worker;

/// Everything that the storage holds.
///
/// A row is in exactly one place, which its state names. Handles (`u32`) are keys of the arenas;
/// none outlives its row, event, order, endpoint or worker. Those in [`State::ended`] may, and are
/// checked; that of a row's worker means something only while the row is leased.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) limits: MemoryLimits,
    /// Silence of workers counts from here at the earliest.
    pub(crate) started_at: Timestamp,
    // Rows of every state, and where each is found by its id. Ids begin with the time, so the order
    // of `by_id` is that of listings.
    pub(crate) rows: Arena<Row>,
    pub(crate) by_id: BTreeMap<DeliveryId, u32>,
    // Events, and where each is found by its id, in the order of listings too.
    pub(crate) events: Arena<EventRow>,
    pub(crate) events_by_id: BTreeMap<EventId, u32>,
    pub(crate) bare: BareEvents,
    // Orders that a row bears.
    pub(crate) orders: Arena<Order>,
    pub(crate) order_handles: HashMap<OrderKey, u32>,
    // Endpoints and tombstones, by id and by the revision of their last change. Revisions start at
    // 1 and are never used twice: a reader that asks for what is later must not miss a change.
    pub(crate) endpoints: Arena<EndpointEntry>,
    pub(crate) endpoint_handles: HashMap<Arc<str>, u32>,
    pub(crate) by_revision: BTreeMap<u64, u32>,
    pub(crate) revision: u64,
    /// The revision of the last definition that was saved or deleted: who matched events by an
    /// earlier one may have missed an endpoint.
    pub(crate) definitions: u64,
    pub(crate) ring: ReadyRing,
    pub(crate) scheduled: BTreeMap<(Timestamp, u64), u32>,
    /// Blocked rows by age, for retention alone. Where each goes on is in its order's line.
    pub(crate) blocked: BTreeMap<(Timestamp, u64), u32>,
    pub(crate) workers: Arena<Worker>,
    // Leased rows are in their worker's set. Dead ones are in two indexes: by id for listings,
    // which would otherwise look through everything, and by time of death for retention.
    pub(crate) worker_handles: HashMap<WorkerId, u32>,
    pub(crate) dead: BTreeMap<DeliveryId, u32>,
    pub(crate) dead_by_age: BTreeSet<(Timestamp, u32)>,
    /// Delivered and cancelled rows, by the order in which they ended. The number beside the handle
    /// is the row's `seq`: an entry whose row was purged is passed over.
    pub(crate) ended: VecDeque<(u32, u64)>,
    pub(crate) log: AttemptLog,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) fan_outs: BTreeMap<EventId, Unfinished>,
    /// The totals; as in [`EndpointEntry`], `suspended` is computed when it is asked for.
    pub(crate) counts: Counts,
    /// The number of the row made last; each row and each replay takes a new one.
    pub(crate) next_seq: u64,
    /// How many incarnations of endpoints there were.
    ///
    /// The next one takes the next number, whatever the id, so that an id whose tombstone was
    /// dropped does not begin anew at a number that an old row still bears.
    pub(crate) incarnations: u32,
    /// Something may have become claimable since the last look.
    ///
    /// Set under the lock and taken by `MemoryStorage::change_state`, which wakes once for a whole
    /// call.
    pub(crate) wake: bool,
}

impl State {
    pub(crate) fn new(limits: MemoryLimits, started_at: Timestamp) -> Self {
        Self {
            limits,
            started_at,
            rows: Arena::new(),
            by_id: BTreeMap::new(),
            events: Arena::new(),
            events_by_id: BTreeMap::new(),
            bare: BareEvents::default(),
            orders: Arena::new(),
            order_handles: HashMap::new(),
            endpoints: Arena::new(),
            endpoint_handles: HashMap::new(),
            by_revision: BTreeMap::new(),
            revision: 0,
            definitions: 0,
            ring: ReadyRing::default(),
            scheduled: BTreeMap::new(),
            blocked: BTreeMap::new(),
            workers: Arena::new(),
            worker_handles: HashMap::new(),
            dead: BTreeMap::new(),
            dead_by_age: BTreeSet::new(),
            ended: VecDeque::new(),
            log: AttemptLog::default(),
            keys: IdempotencyKeys::default(),
            fan_outs: BTreeMap::new(),
            counts: Counts::default(),
            next_seq: 0,
            incarnations: 0,
            wake: false,
        }
    }

    /// Why a row cannot wait for its endpoint any more, if it cannot.
    ///
    /// Asked wherever a leased or dead delivery could wait again. The endpoint of a row may have
    /// been deleted or replaced meanwhile: sending it then would give one tenant's events to
    /// another.
    pub(crate) fn stranded(&self, row: &Row) -> Option<CancelReason> {
        let endpoint = self.endpoints.at(row.endpoint);
        // The payload first: without it, there is nothing to send to whomever.
        if self.is_erased(row) {
            Some(CancelReason::Erased)
        } else if endpoint.is_deleted() {
            Some(CancelReason::EndpointDeleted)
        } else if endpoint.incarnation != row.incarnation {
            Some(CancelReason::EndpointReplaced)
        } else {
            None
        }
    }

    /// Whether nothing is left of what the row would send.
    pub(crate) fn is_erased(&self, row: &Row) -> bool {
        row.erased || self.events.at(row.event).is_erased()
    }

    /// How many rows the bound of the whole storage counts.
    ///
    /// Ended rows that are not dead do not count: they fall out by themselves, and must not keep
    /// new events away.
    pub(crate) fn occupied(&self) -> usize {
        usize::try_from(self.counts.waiting()).unwrap_or(usize::MAX) + self.dead.len()
    }

    /// The counts of one endpoint, or of all.
    ///
    /// What is suspended depends on gates, and is computed when asked: a pause would otherwise have
    /// to count through the backlog of the endpoint. So the total costs a look at each endpoint.
    pub(crate) fn counts_of(&self, endpoint_id: Option<&str>) -> Counts {
        let Some(id) = endpoint_id else {
            let suspended = self.endpoints.iter().map(|(_, e)| e.counts().suspended);
            let mut counts = self.counts;
            counts.suspended = suspended.sum();
            return counts;
        };
        let handle = self.endpoint_handles.get(id);
        handle.map_or_else(Counts::default, |h| self.endpoints.at(*h).counts())
    }

    /// The counts of several endpoints, in order.
    pub(crate) fn counts_of_each(&self, endpoint_ids: &[Arc<str>]) -> Vec<Counts> {
        let ids = endpoint_ids.iter();
        ids.map(|id| self.counts_of(Some(id))).collect()
    }

    /// Since when the longest waiting has been due of those that are first in the queues of open
    /// endpoints.
    pub(crate) fn oldest_ready(&mut self, now: Timestamp) -> Option<Timestamp> {
        // What has become due is ready, noticed or not.
        self.promote(now);
        let open = self.endpoints.iter().filter(|(_, entry)| entry.is_open());
        let firsts = open.filter_map(|(_, entry)| entry.first_ready(true, true));
        firsts.map(|(row, _)| self.rows.at(row).due_at).min()
    }

    /// Changes a count of an endpoint and the total alike. Nothing else changes either of them,
    /// which is what keeps the total the sum of its parts.
    pub(crate) fn count(&mut self, endpoint: u32, change: impl Fn(&mut Counts)) {
        change(&mut self.endpoints.at_mut(endpoint).counts);
        change(&mut self.counts);
    }

    /// Gives an endpoint its turn if it has something to claim.
    ///
    /// Called after every change that may open something: a new ready row, a gate, a new
    /// definition, a lease less. One call too many costs little; one too few, and what waits is
    /// found by nobody.
    pub(crate) fn admit(&mut self, endpoint: u32, now: Timestamp) {
        let entry = self.endpoints.at_mut(endpoint);
        self.wake |= self.ring.admit(endpoint, entry, now);
    }
}

//! The one data structure behind the storage's lock: rows, their places, and the counts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use webhooks_core::storage::Counts;
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp, WorkerId,
};

use crate::MemoryLimits;
use crate::arena::Arena;
use crate::attempt_log::AttemptLog;
use crate::endpoint_entry::EndpointEntry;
use crate::idempotency::IdempotencyKeys;
use crate::ready_ring::ReadyRing;
use crate::row::Row;
use crate::unfinished::Unfinished;
use crate::worker::Worker;

/// Everything that the storage holds.
///
/// A row is in exactly one place, which its state names; [`State::leave`] and [`State::enter`] are
/// the only ways out of and into a place, and keep the counts right. Handles (`u32`) are keys of
/// the arenas; none outlives its row, endpoint or worker. Those in [`State::ended`] may, and are
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
    // Endpoints and tombstones, by id and by the revision of their last change. Revisions start at
    // 1 and are never used twice: a reader that asks for what is later must not miss a change.
    pub(crate) endpoints: Arena<EndpointEntry>,
    pub(crate) endpoint_handles: HashMap<Arc<str>, u32>,
    pub(crate) by_revision: BTreeMap<u64, u32>,
    pub(crate) revision: u64,
    pub(crate) ring: ReadyRing,
    pub(crate) scheduled: BTreeMap<(Timestamp, u64), u32>,
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
            endpoints: Arena::new(),
            endpoint_handles: HashMap::new(),
            by_revision: BTreeMap::new(),
            revision: 0,
            ring: ReadyRing::default(),
            scheduled: BTreeMap::new(),
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

    /// Keeps a new row, unless there is one with its id. Whether there was none.
    ///
    /// The id decides, not the content: a call that is sent twice, since its first answer was lost,
    /// stores nothing more.
    pub(crate) fn insert(&mut self, row: Row, now: Timestamp) -> bool {
        let Entry::Vacant(place) = self.by_id.entry(row.id) else {
            return false;
        };
        let endpoint = row.endpoint;
        let handle = *place.insert(self.rows.insert(row));
        self.endpoints.at_mut(endpoint).rows += 1;
        self.count(endpoint, |c| c.enqueued += 1);
        self.enter(handle, now);
        true
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

    /// Why a row cannot wait for its endpoint any more, if it cannot.
    ///
    /// Asked wherever a leased or dead delivery could wait again. The endpoint of a row may have
    /// been deleted or replaced meanwhile: sending it then would give one tenant's events to
    /// another.
    pub(crate) fn stranded(&self, row: &Row) -> Option<CancelReason> {
        let endpoint = self.endpoints.at(row.endpoint);
        // The payload first: without it, there is nothing to send to whomever.
        if row.is_erased() {
            Some(CancelReason::Erased)
        } else if endpoint.is_deleted() {
            Some(CancelReason::EndpointDeleted)
        } else if endpoint.incarnation != row.incarnation {
            Some(CancelReason::EndpointReplaced)
        } else {
            None
        }
    }

    /// Drops a row. The totals of what ended stay.
    ///
    /// `leave` takes a dead row out of the count of dead ones, as for a replay; here it goes on
    /// counting, or the sum of all states would no longer be what was enqueued.
    pub(crate) fn remove(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let (endpoint, ended_as_dead) = (row.endpoint, row.state == DeliveryState::Dead);
        self.leave(handle, now);
        if ended_as_dead {
            self.count(endpoint, |c| c.dead += 1);
        }
        let row = self.rows.remove(handle);
        self.by_id.remove(&row.id);
        self.endpoints.at_mut(endpoint).rows -= 1;
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

    /// Puts a row into the place that its state names.
    fn enter(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let endpoint = row.endpoint;
        match row.state {
            DeliveryState::Ready => {
                let (key, suspect) = (row.ready_key(), row.is_poison_suspect());
                let entry = self.endpoints.at_mut(endpoint);
                if entry.fills_with(row) {
                    entry.filling.insert(row);
                }
                entry.queue_of(suspect).insert(key, handle);
                self.count(endpoint, |c| c.ready += 1);
                self.admit(endpoint, now);
            }
            DeliveryState::Scheduled => {
                let key = row.due_key();
                // A waiting worker knows the time of the first one only.
                self.wake |= self
                    .scheduled
                    .first_key_value()
                    .is_none_or(|(k, _)| key < *k);
                self.scheduled.insert(key, handle);
                self.count(endpoint, |c| c.scheduled += 1);
            }
            DeliveryState::Leased => {
                let worker = row.worker;
                self.workers.at_mut(worker).leased.insert(handle);
                self.count(endpoint, |c| c.leased += 1);
            }
            DeliveryState::Dead => {
                self.dead.insert(row.id, handle);
                self.dead_by_age.insert((row.updated_at, handle));
                self.count(endpoint, |c| c.dead += 1);
            }
            DeliveryState::Delivered => {
                self.ended.push_back((handle, row.seq));
                self.count(endpoint, |c| c.delivered += 1);
                self.trim_ended(now);
            }
            DeliveryState::Cancelled => {
                self.ended.push_back((handle, row.seq));
                self.count(endpoint, |c| c.cancelled += 1);
                self.trim_ended(now);
            }
        }
    }

    /// Takes a row out of the place that its state names. Nothing that is part of the place's key
    /// may have changed since it was put there: due time, number, time of sending, priority, and
    /// crashes of a ready row.
    fn leave(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let endpoint = row.endpoint;
        match row.state {
            DeliveryState::Ready => {
                let (key, suspect) = (row.ready_key(), row.is_poison_suspect());
                let entry = self.endpoints.at_mut(endpoint);
                // As it was when the row was put in: a changed definition fills the set anew.
                if entry.fills_with(row) {
                    entry.filling.remove(row);
                }
                entry.queue_of(suspect).remove(&key);
                self.count(endpoint, |c| c.ready -= 1);
            }
            DeliveryState::Scheduled => {
                self.scheduled.remove(&row.due_key());
                self.count(endpoint, |c| c.scheduled -= 1);
            }
            DeliveryState::Leased => {
                let worker = row.worker;
                self.workers.at_mut(worker).leased.remove(&handle);
                self.count(endpoint, |c| c.leased -= 1);
                // It may have been the one too many of a gate.
                if self.endpoints.at(endpoint).gate.max_leased.is_some() {
                    self.admit(endpoint, now);
                }
            }
            DeliveryState::Dead => {
                self.dead.remove(&row.id);
                self.dead_by_age.remove(&(row.updated_at, handle));
                self.count(endpoint, |c| c.dead -= 1);
            }
            // They leave only when they are dropped, and their totals stay.
            DeliveryState::Delivered | DeliveryState::Cancelled => {}
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
    /// The handle of a purged row may be another's by now, so the number has to agree.
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

/// The state of what waits until `due_at`.
pub(crate) fn waiting_state(due_at: Timestamp, now: Timestamp) -> DeliveryState {
    if due_at > now {
        DeliveryState::Scheduled
    } else {
        DeliveryState::Ready
    }
}

//! What one process should know, by what it was told: the rules, written again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use webhooks_core::storage::{DisabledBy, EndpointRecord};
use webhooks_core::{DeliveryId, EventFilter, Timestamp};

use crate::schedule::{LaneId, Leased, RequestId};

/// An endpoint, and which of that id.
pub(super) type Key = (Arc<str>, u64);

/// What one process should know.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) lanes: BTreeMap<Key, LaneModel>,
    /// Which incarnation of each endpoint is there.
    pub(super) current: BTreeMap<Arc<str>, u64>,
    /// Until when it may start requests, in microseconds.
    pub(super) window_ends: u64,
    /// How often its leases were lost.
    pub(super) losses: u64,
    pub(super) running: BTreeMap<RequestId, Running>,
    /// Leases that were settled.
    pub(super) settled: BTreeSet<(DeliveryId, u64)>,
    /// Leases that were given back as lost.
    pub(super) given_back: BTreeSet<(DeliveryId, u64)>,
    pub(super) suspect: Option<DeliveryId>,
    /// Starts of one lane past another that could have started.
    pub(super) passed: BTreeMap<(LaneId, LaneId), u32>,
    /// Attempts that ended, and those of them that were not the first of their delivery.
    pub(super) ended: u64,
    pub(super) retried: u64,
}

/// A request in flight.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) key: Key,
    pub(super) started: u64,
    pub(super) started_at: Timestamp,
    pub(super) carried: Vec<Leased>,
    pub(super) record: Arc<EndpointRecord>,
    pub(super) losses: u64,
    pub(super) is_batch: bool,
}

/// One incarnation of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct LaneModel {
    /// As it was read last.
    pub(super) record: Arc<EndpointRecord>,
    pub(super) filters: Vec<EventFilter>,
    /// It is deleted or replaced.
    pub(super) is_gone: bool,
    /// By what was read, or decided here since.
    pub(super) disabled: Option<DisabledBy>,
    pub(super) max_leased: Option<u32>,
    pub(super) holds: Vec<Held>,
    /// Requests in flight at most.
    pub(super) window: usize,
    pub(super) is_quick: bool,
    pub(super) last_success: Option<u64>,
    pub(super) untried: u32,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) is_warned: bool,
    pub(super) succeeded_at: Option<Timestamp>,
    /// The next so many go one by one.
    pub(super) alone: usize,
    /// When it was read first, in microseconds.
    pub(super) born: u64,
    /// When its definition changed last.
    pub(super) changed: u64,
}

/// A hold that was decided here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) until: Timestamp,
    /// It was disabled, and until then that is stored.
    pub(super) is_disabled: bool,
    /// The endpoint's revision with which it was stored, once it is.
    pub(super) revision: Option<u64>,
}

/// What changed endpoints bring.
#[derive(Debug, Default)]
pub(super) struct News {
    /// A success here has ended their failing, which was just read; with the epoch.
    pub(super) recovered: Vec<(Key, u64)>,
    /// What was known of their health is void.
    pub(super) anew: Vec<Arc<str>>,
}

impl LaneModel {
    pub(super) fn new(record: Arc<EndpointRecord>, us: u64) -> Self {
        Self {
            filters: record.endpoint.filters().unwrap_or_default(),
            is_gone: false,
            disabled: record.gate.disabled,
            max_leased: record.gate.max_leased,
            holds: Vec::new(),
            window: usize::MAX,
            is_quick: false,
            last_success: None,
            untried: 0,
            failing_since: record.gate.failing_since,
            is_warned: false,
            succeeded_at: None,
            alone: 0,
            born: us,
            changed: us,
            record,
        }
    }

    /// Takes a changed record over; whether a success here ended what was read of its failing.
    pub(super) fn read(&mut self, record: Arc<EndpointRecord>, us: u64) -> bool {
        let was = std::mem::replace(&mut self.record, record);
        let record = &self.record;
        self.holds
            .retain(|held| held.revision.is_none_or(|stored| stored > record.revision));
        if !was.is_open() && record.is_open() {
            self.window = 1;
        }
        if is_another(&was, record) {
            self.window = 1;
            self.holds.clear();
            self.succeeded_at = None;
        }
        self.disabled = record.gate.disabled;
        self.max_leased = record.gate.max_leased;
        self.filters = record.endpoint.filters().unwrap_or_default();
        self.changed = us;
        let since = record.gate.failing_since;
        let is_news = since.is_some() && since != self.failing_since;
        let second_later = |at: Timestamp| Timestamp::from_millis(at.as_millis() + 1_000);
        let has_recovered = is_news && since <= self.succeeded_at.map(second_later);
        self.is_warned &= since.is_some();
        self.failing_since = since.filter(|_| !has_recovered);
        has_recovered
    }

    /// Whether what is known of the endpoint's health is void with this record.
    fn begins_anew(&self, record: &EndpointRecord) -> bool {
        is_another(&self.record, record)
    }

    /// Why nothing may start at this time, if so.
    pub(super) fn closed(&self, at: Timestamp) -> Option<String> {
        let record = &self.record;
        if self.is_gone || record.deleted {
            return Some("it is gone".into());
        }
        if !record.endpoint.enabled || record.gate.paused {
            return Some("it is disabled or paused".into());
        }
        let held = self
            .holds
            .iter()
            .map(|held| held.until)
            .chain(record.gate.held_until)
            .max();
        let held = held.filter(|until| *until > at);
        held.map(|until| format!("it is held until {until}"))
    }

    /// Nothing starts before this time.
    pub(super) fn hold(&mut self, until: Timestamp) {
        self.holds.push(Held {
            until,
            is_disabled: false,
            revision: None,
        });
    }

    /// The endpoint is disabled; whether it was not yet.
    pub(super) fn disable(&mut self, by: DisabledBy, at: Timestamp) -> bool {
        let is_news = self.disabled != Some(by);
        if is_news {
            self.disabled = Some(by);
            let until = at.after(std::time::Duration::from_secs(12));
            self.holds.push(Held {
                until,
                is_disabled: true,
                revision: None,
            });
        }
        is_news
    }

    pub(super) fn takes(&self, event_type: &str, by_name: bool) -> bool {
        by_name || self.filters.iter().any(|filter| filter.matches(event_type))
    }

    pub(super) fn takes_leased(&self, leased: &Leased) -> bool {
        self.takes(&leased.event_type, leased.by_name)
    }

    /// Deliveries of one request at most.
    pub(super) fn per_request(&self) -> usize {
        self.record
            .endpoint
            .batch
            .map_or(1, |batch| batch.max_events as usize)
    }

    /// Deliveries leased at most.
    pub(super) fn most_leased(&self, per_endpoint: usize) -> usize {
        match self.record.endpoint.batch {
            Some(_) => 2 * self.per_request(),
            None if self.is_quick => 8 * per_endpoint,
            None => 2 * per_endpoint,
        }
    }

    pub(super) fn host(&self) -> (Option<String>, String) {
        let endpoint = &self.record.endpoint;
        let host = endpoint.url.split('/').nth(2).unwrap_or_default();
        (endpoint.tenant.clone(), host.to_owned())
    }
}

impl Model {
    /// A hold is stored that was decided here. It holds the endpoint wherever that has moved since,
    /// until it is read, as the storage knows nothing of places.
    pub(super) fn hold_stored(&mut self, id: &Arc<str>, epoch: Option<u64>, until: Timestamp) {
        let Some(incarnation) = self.current.get(id) else {
            return;
        };
        let lane = self.lane_mut(&(id.clone(), *incarnation));
        let is_known = lane.holds.iter().any(|held| held.until == until);
        let is_void = epoch.is_some_and(|epoch| epoch < lane.record.gate.epoch);
        if !is_known && !is_void {
            lane.holds.push(Held {
                until,
                is_disabled: false,
                revision: Some(lane.record.revision + 1),
            });
        }
    }

    pub(super) fn lane(&self, key: &Key) -> &LaneModel {
        self.lanes
            .get(key)
            .expect("a lane of an endpoint that was read")
    }

    pub(super) fn lane_mut(&mut self, key: &Key) -> &mut LaneModel {
        self.lanes
            .get_mut(key)
            .expect("a lane of an endpoint that was read")
    }

    /// The lane of an endpoint that is there.
    pub(super) fn of(&self, endpoint_id: &str) -> Option<&LaneModel> {
        let incarnation = *self.current.get(endpoint_id)?;
        self.lanes.get(&(endpoint_id.into(), incarnation))
    }

    pub(super) fn running_at<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Running> {
        self.running
            .values()
            .filter(move |running| running.key == *key)
    }

    /// Requests that gone endpoints have left running, and that count against this one.
    pub(super) fn left_running(&self, key: &Key) -> usize {
        let host = self.lane(key).host();
        let gone = || self.running.values().filter(|r| self.lane(&r.key).is_gone);
        let same_id = gone().filter(|r| r.key.0 == key.0).count();
        let same_host = gone().filter(|r| self.lane(&r.key).host() == host).count();
        same_id.max(same_host)
    }

    /// Whether the endpoint may turn out to hold requests for long: for so many microseconds already.
    pub(super) fn is_unproven(&self, key: &Key, us: u64, for_long: u64) -> bool {
        let lane = self.lane(key);
        let is_recent = lane
            .last_success
            .is_some_and(|at| us - at < 60_000_000 + for_long);
        let is_slow = self
            .running_at(key)
            .any(|r| us - r.started > 1_000_000 + for_long);
        !is_recent || is_slow
    }

    pub(super) fn is_patient(&self, key: &Key, timeout: u64) -> bool {
        self.lane(key).record.endpoint.timeout_seconds > timeout
    }

    /// Endpoints changed, in this order.
    pub(super) fn read(&mut self, records: &[EndpointRecord], us: u64) -> News {
        let mut news = News::default();
        for record in records {
            let id: Arc<str> = record.endpoint.id.as_str().into();
            let known = self.current.get(&id).copied();
            let stays = known == Some(record.incarnation) && !record.deleted;
            if stays {
                let key = (id, record.incarnation);
                let lane = self.lane_mut(&key);
                if lane.begins_anew(record) {
                    news.anew.push(key.0.clone());
                }
                if lane.read(Arc::new(record.clone()), us) {
                    news.recovered.push((key, record.gate.epoch));
                }
                continue;
            }
            if let Some(known) = known {
                news.anew.push(id.clone());
                self.lane_mut(&(id.clone(), known)).is_gone = true;
                self.current.remove(&id);
            }
            if !record.deleted {
                self.current.insert(id.clone(), record.incarnation);
                let lane = LaneModel::new(Arc::new(record.clone()), us);
                self.lanes.insert((id, record.incarnation), lane);
            }
        }
        news
    }
}

/// Whether what one endpoint responds says nothing of the other: it moved, or was reset.
fn is_another(was: &EndpointRecord, is: &EndpointRecord) -> bool {
    was.endpoint.url != is.endpoint.url || was.gate.epoch != is.gate.epoch
}

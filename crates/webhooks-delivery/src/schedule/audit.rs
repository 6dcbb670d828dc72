//! Counts everything again that the scheduler counts as it goes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::command::Entry;
use super::known_leases::LeaseKey;
use super::lane::Lane;
use super::lane_id::LaneId;
use super::left_running::LeftRunning;
use super::now::Now;
use super::scheduler::Scheduler;

/// What is wrong.
type Audit = Result<(), String>;

/// What a process holds outside of its scheduler.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Entries of each lane that are taken out to be written down, and not written yet.
    pub(crate) entries: HashMap<LaneId, usize>,
    /// The leases of all such entries.
    pub(crate) recorded: HashSet<LeaseKey>,
    /// What claims keep aside.
    pub(crate) unknown: HashSet<LeaseKey>,
    /// Requests of gone endpoints have ended lately: who waited for them waits for a tick.
    pub(crate) were_left_running: bool,
    /// Storage time went back, and with it what was over is not over again.
    pub(crate) was_clock_set: bool,
    /// Endpoints have changed how they batch, so that what was counted may be out of date.
    pub(crate) batches_vary: bool,
}

impl Scheduler {
    /// Whether all that is counted and queued is what it should be.
    pub(crate) fn audit(&self, now: Now, outside: &Outside) -> Audit {
        for lane in self.lanes.iter() {
            let audited = self.audit_lane(lane, outside);
            let audited = audited.and_then(|()| self.audit_waiting(lane, now, outside));
            audited.map_err(|problem| format!("{} {:?}: {problem}", lane.endpoint_id, lane.id))?;
        }
        self.audit_totals()?;
        self.audit_tenants()?;
        self.audit_queues()?;
        self.audit_leases(outside)
    }

    fn audit_lane(&self, lane: &Lane, outside: &Outside) -> Audit {
        let running: usize = lane
            .in_flight
            .iter()
            .map(|r| r.carried.deliveries().len())
            .sum();
        let entries = self.out.entries().iter();
        let entries =
            entries.filter(|e| matches!(e, Entry::Settle { lane: Some(id), .. } if *id == lane.id));
        let recorded = outside.entries.get(&lane.id).copied().unwrap_or(0);
        let leased = lane.counted.reserved
            + lane.waiting.iter().count()
            + running
            + entries.count()
            + recorded;
        same("leased", lane.counted.leased, leased)?;
        if !outside.batches_vary {
            same(
                "requests",
                lane.counted.requests,
                leased.div_ceil(lane.per_request()),
            )?;
        }
        let is_listed = self.held.lanes().any(|id| id == lane.id);
        same(
            "is among those with leases",
            is_listed,
            lane.counted.leased > 0,
        )?;
        let is_backlogged = self.held.backlogged().contains(&lane.id);
        same("is backlogged", lane.queued.backlogged, is_backlogged)?;
        let requests = lane.in_flight.len() + lane.counted.reserved;
        for counted in [lane.counted.unproven, lane.counted.patient] {
            same(
                "counts all requests or none",
                counted == 0 || counted == requests,
                true,
            )?;
        }
        let is_known = self.directory.get(&lane.endpoint_id) == Some(lane.id);
        same("is in the directory", is_known, lane.left.is_none())?;
        same("is kept though it is done", lane.is_done(), false)
    }

    /// What waits must wait for something that will come.
    fn audit_waiting(&self, lane: &Lane, now: Now, outside: &Outside) -> Audit {
        if lane.waiting.is_empty() {
            return Ok(());
        }
        let queued = &lane.queued;
        if outside.were_left_running {
            return Ok(());
        }
        if self.could_start(lane, now) && self.slots.taken() < self.settings.max_in_flight {
            return Err("something waits that could start".into());
        }
        if self.is_stopping {
            return Err("something waits though this process stops".into());
        }
        if !lane.is_open(now.at) && !queued.for_turn && !outside.was_clock_set {
            return Err("something waits though it is closed".into());
        }
        let left = self.left_running.against(&lane.record.endpoint);
        let is_busy = lane.in_flight.len() + left > 0;
        if !queued.for_turn && !queued.for_share && !is_busy {
            return Err("something waits for nothing".into());
        }
        Ok(())
    }

    /// Whether nothing is in the way of the lane's next request but its turn and a slot.
    pub(super) fn could_start(&self, lane: &Lane, now: Now) -> bool {
        let left = self.left_running.against(&lane.record.endpoint);
        let most = lane
            .pace
            .window()
            .min(self.settings.max_in_flight_per_endpoint);
        self.holds_leases(now.moment)
            && lane.is_open(now.at)
            && lane.in_flight.len() + left < most
            && self.slots.stalls(lane, now.moment).is_none()
            && lane
                .tenant
                .is_none_or(|tenant| self.slots.has_share(tenant, &self.tenants))
    }

    fn audit_totals(&self) -> Audit {
        let sum = |of: fn(&Lane) -> usize| self.lanes.iter().map(of).sum::<usize>();
        same(
            "slots taken",
            self.slots.taken(),
            sum(|lane| lane.in_flight.len()),
        )?;
        same(
            "requests leased",
            self.held.len(),
            sum(|lane| lane.counted.requests),
        )?;
        let (unproven, patient) = self.slots.counted();
        same(
            "unproven requests",
            unproven,
            sum(|lane| lane.counted.unproven),
        )?;
        same(
            "patient requests",
            patient,
            sum(|lane| lane.counted.patient),
        )?;
        let mut left_running = LeftRunning::default();
        for lane in self.lanes.iter() {
            if let Some(left) = &lane.left {
                left_running.add(left, lane.in_flight.len());
            }
        }
        same(
            "left running",
            self.left_running.is_same(&left_running),
            true,
        )
    }

    fn audit_tenants(&self) -> Audit {
        for (id, endpoints, in_flight, waiting) in self.tenants.all() {
            let lanes = || self.lanes.iter().filter(|lane| lane.tenant == Some(id));
            let count = lanes().filter(|lane| lane.left.is_none()).count();
            same("endpoints of a tenant", endpoints, count)?;
            let running = lanes().map(|lane| lane.in_flight.len()).sum();
            same("requests of a tenant", in_flight, running)?;
            let flagged: BTreeSet<_> = lanes()
                .filter(|l| l.queued.for_share)
                .map(|l| l.id)
                .collect();
            let there = waiting
                .iter()
                .copied()
                .filter(|id| self.lanes.get(*id).is_some());
            let there: Vec<_> = there.collect();
            same("waits twice for a share", there.len(), flagged.len())?;
            same("waits for a share", there.into_iter().collect(), flagged)?;
            let has_turn = || lanes().any(|lane| lane.queued.for_turn);
            if in_flight == 0 && !waiting.is_empty() && !has_turn() {
                return Err("lanes wait for a share and nothing of the tenant runs".into());
            }
            if endpoints == 0 && in_flight == 0 {
                return Err("a tenant without endpoints and requests is kept".into());
            }
        }
        Ok(())
    }

    fn audit_queues(&self) -> Audit {
        let turns: Vec<_> = self.turns.all().collect();
        self.audit_queue("turns", &turns, |lane| lane.queued.for_turn)?;
        let stalled: Vec<_> = self.turns.stalled().collect();
        self.audit_queue("stalled", &stalled, |lane| lane.queued.stalled.is_some())
    }

    fn audit_queue(&self, name: &str, queue: &[LaneId], is_in: fn(&Lane) -> bool) -> Audit {
        let there = || queue.iter().filter(|id| self.lanes.get(**id).is_some());
        let flagged: BTreeSet<_> = self
            .lanes
            .iter()
            .filter(|l| is_in(l))
            .map(|l| l.id)
            .collect();
        same(
            &format!("{name}: once each"),
            there().count(),
            flagged.len(),
        )?;
        same(
            &format!("{name}: flags"),
            there().copied().collect(),
            flagged,
        )
    }

    fn audit_leases(&self, outside: &Outside) -> Audit {
        let mut held = BTreeMap::<LeaseKey, usize>::new();
        for lane in self.lanes.iter() {
            let running = lane.in_flight.iter().flat_map(|r| r.carried.deliveries());
            for delivery in lane.waiting.iter().chain(running) {
                let token = delivery.lease.as_ref().map_or(0, |lease| lease.token);
                *held.entry((delivery.id, token)).or_default() += 1;
            }
        }
        for key in &outside.unknown {
            *held.entry(*key).or_default() += 1;
        }
        let entries = self.out.entries().iter().filter_map(|entry| match entry {
            Entry::Settle { settlement, .. } => Some((settlement.delivery_id, settlement.token)),
            Entry::Gate(..) => None,
        });
        let recorded: HashSet<_> = entries.chain(outside.recorded.iter().copied()).collect();
        if let Some((key, _)) = held
            .iter()
            .find(|(key, times)| **times > 1 || recorded.contains(*key))
        {
            return Err(format!("{key:?} is in two places"));
        }
        let known = self.leases.held();
        if let Some(key) = held.keys().find(|key| !known.contains(*key)) {
            return Err(format!("{key:?} is held and not known"));
        }
        if let Some(key) = known
            .iter()
            .find(|key| !held.contains_key(*key) && !recorded.contains(*key))
        {
            return Err(format!("{key:?} is known and not held"));
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, counted: T, is: T) -> Audit {
    match counted == is {
        true => Ok(()),
        false => Err(format!("{what}: {counted:?}, but it is {is:?}")),
    }
}

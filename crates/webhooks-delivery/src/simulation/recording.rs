//! What came of deliveries is written down, as `runtime/recorder.rs` does.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use webhooks_core::Result;
use webhooks_core::storage::spi::{EndpointGate, GateChange, Settlement};

use super::event::{Answer, Call, NodeEvent, To};
use super::node::Input;
use super::reading::Job;
use super::world::World;
use crate::runtime::Parts;
use crate::schedule::{Entry, LaneId, LeaseKey, Written};

/// Entries of one call at most.
const BATCH: usize = 512;
/// A call with so many entries shows that more are about to come.
const BUSY: usize = 16;
/// How long the next call then waits for them, in microseconds.
const GATHER: u64 = 2_000;
const FIRST_PAUSE: u64 = 50_000;
const LONGEST_PAUSE: u64 = 5_000_000;
/// Before what was refused for good is tried again.
const PARKED: u64 = 5_000_000;

#[derive(Debug, Default)]
pub(super) struct Recorder {
    permit: bool,
    works: Works,
    is_busy: bool,
    pub(super) gates: Vec<Arc<Entry>>,
    pub(super) settlements: Vec<Arc<Entry>>,
    parts: Option<Parts>,
    part: Range<usize>,
    refused: BTreeSet<usize>,
    since: u64,
    pause: u64,
    pub(super) parked: Vec<Arc<Entry>>,
    parked_due: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Works {
    #[default]
    Rests,
    Woken,
    Gates,
    Settlements,
}

impl Recorder {
    pub(super) fn is_idle(&self) -> bool {
        self.works == Works::Rests && self.parked.is_empty() && !self.permit
    }

    /// The entries that were taken out and are not written.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.settlements.iter().chain(&self.parked)
    }
}

impl World<'_> {
    pub(super) fn wake_recorder(&mut self, n: usize) {
        let recorder = &mut self.nodes[n].recorder;
        match recorder.works {
            Works::Rests => {
                recorder.works = Works::Woken;
                self.later(n, 0, NodeEvent::Record);
            }
            _ => recorder.permit = true,
        }
    }

    pub(super) fn parked_due(&mut self, n: usize) {
        if !self.nodes[n].recorder.parked.is_empty() {
            self.wake_recorder(n);
        }
    }

    /// Takes the next entries and begins to write them down.
    pub(super) fn record(&mut self, n: usize) {
        let mut batch: Vec<Arc<Entry>> = self.nodes[n]
            .scheduler
            .take_entries(BATCH)
            .map(Arc::new)
            .collect();
        let (us, since) = (self.us, self.scheduler(n).revision());
        let recorder = &mut self.nodes[n].recorder;
        recorder.is_busy = batch.len() >= BUSY;
        recorder.join(&mut batch, us);
        if batch.is_empty() {
            recorder.works = Works::Rests;
            if std::mem::take(&mut recorder.permit) {
                self.wake_recorder(n);
            }
            return;
        }
        for entry in batch {
            match &*entry {
                Entry::Settle { .. } => recorder.settlements.push(entry),
                Entry::Gate(..) => recorder.gates.push(entry),
            }
        }
        recorder.works = Works::Gates;
        recorder.begin();
        recorder.since = since;
        self.record_part(n);
    }

    /// Asks the storage to write the next part down.
    pub(super) fn record_part(&mut self, n: usize) {
        let now = self.node_time(n);
        let node = &mut self.nodes[n];
        let worker = node.worker.clone();
        let recorder = &mut node.recorder;
        let part = recorder.parts.as_mut().and_then(Parts::next);
        let Some(part) = part else {
            return match recorder.works {
                Works::Gates if !recorder.gates.is_empty() => {
                    self.read_endpoints(n, Job::PauseForGates);
                }
                Works::Gates => self.begin_settling(n),
                _ => self.settled(n),
            };
        };
        recorder.part = part.clone();
        let call = match recorder.works {
            Works::Gates => Call::SetGates {
                gates: recorder.gates[part]
                    .iter()
                    .map(|e| gate(e))
                    .cloned()
                    .collect(),
                now,
            },
            _ => Call::Settle {
                worker,
                settlements: recorder.settlements[part]
                    .iter()
                    .map(|e| settlement(e))
                    .cloned()
                    .collect(),
                now,
            },
        };
        self.ask(n, To::Recorder, call);
    }

    pub(super) fn record_answered(&mut self, n: usize, answer: Result<Answer>) {
        let recorder = &mut self.nodes[n].recorder;
        let part = recorder.part.clone();
        match answer {
            Ok(_) => {
                recorder.pause = FIRST_PAUSE;
                self.record_part(n);
            }
            Err(error) if error.is_transient() => {
                recorder.parts.as_mut().unwrap().again(part);
                let pause = recorder.pause.max(FIRST_PAUSE);
                recorder.pause = (pause * 2).min(LONGEST_PAUSE);
                self.later(n, pause, NodeEvent::RetryRecord);
            }
            Err(_) => {
                if !recorder.parts.as_mut().unwrap().split(&part) {
                    recorder.refused.insert(part.start);
                }
                self.record_part(n);
            }
        }
    }

    /// Nobody reads endpoints: the scheduler takes over that gates are stored.
    pub(super) fn gates_stored(&mut self, n: usize) {
        let recorder = &mut self.nodes[n].recorder;
        let refused = std::mem::take(&mut recorder.refused);
        let ids: Vec<_> = recorder
            .gates
            .iter()
            .map(|g| gate(g).endpoint_id.clone())
            .collect();
        let mut stored = Vec::new();
        for (i, entry) in std::mem::take(&mut recorder.gates).into_iter().enumerate() {
            if !refused.contains(&i) {
                stored.push(entry);
                continue;
            }
            let is_later = |m: &usize| *m > i && !refused.contains(m);
            if !(0..ids.len()).filter(is_later).any(|m| ids[m] == ids[i]) {
                recorder.parked.push(entry);
            }
        }
        self.parking(n);
        let since = self.nodes[n].recorder.since;
        let gates: Vec<_> = stored.iter().map(|e| gate(e)).cloned().collect();
        self.nodes[n].recorder.gates = stored;
        if self.tell(n, Input::GatesStored, |s, _| s.gates_stored(&gates, since)) {
            return self.read_endpoints(n, Job::Gates);
        }
        for gate in &gates {
            if let GateChange::Hold { until } = gate.change {
                let model = &mut self.nodes[n].model;
                model.hold_stored(&gate.endpoint_id, gate.epoch, until);
            }
        }
        self.begin_settling(n);
    }

    pub(super) fn gates_read(&mut self, n: usize, is_read: bool) {
        if is_read {
            let gates: Vec<_> = self.nodes[n]
                .recorder
                .gates
                .iter()
                .map(|e| gate(e))
                .cloned()
                .collect();
            self.tell(n, Input::GatesRead, |s, _| s.gates_read(&gates));
        }
        self.begin_settling(n);
    }

    fn begin_settling(&mut self, n: usize) {
        let recorder = &mut self.nodes[n].recorder;
        recorder.gates.clear();
        recorder.works = Works::Settlements;
        recorder.begin();
        self.record_part(n);
    }

    fn settled(&mut self, n: usize) {
        let recorder = &mut self.nodes[n].recorder;
        let refused = std::mem::take(&mut recorder.refused);
        let all = std::mem::take(&mut recorder.settlements);
        if !all.is_empty() {
            let is_refused = |(i, _): &(usize, &Arc<Entry>)| refused.contains(i);
            let parked = all.iter().enumerate().filter(is_refused);
            let parked: Vec<_> = parked.map(|(_, entry)| entry.clone()).collect();
            self.nodes[n].recorder.parked.extend(parked);
            self.parking(n);
            let written = all.iter().enumerate().map(|(i, entry)| Written {
                settlement: settlement(entry),
                lane: lane(entry),
                is_refused: refused.contains(&i),
            });
            self.note_settled(n, &all, &refused);
            self.tell(n, Input::Settled, |s, _| s.settled(written));
        }
        let recorder = &mut self.nodes[n].recorder;
        recorder.works = Works::Woken;
        let pause = if recorder.is_busy { GATHER } else { 0 };
        self.later(n, pause, NodeEvent::Record);
    }

    /// Sees to what was refused being tried again.
    fn parking(&mut self, n: usize) {
        let recorder = &mut self.nodes[n].recorder;
        if !recorder.parked.is_empty() && recorder.parked_due <= self.us {
            recorder.parked_due = self.us + PARKED;
            self.later(n, PARKED, NodeEvent::ParkedDue);
        }
    }

    /// What a node has taken out to be written down.
    pub(super) fn recorded(&self, n: usize) -> (BTreeMap<LaneId, usize>, HashSet<LeaseKey>) {
        let mut lanes = BTreeMap::new();
        let mut keys = HashSet::new();
        for entry in self.nodes[n].recorder.entries() {
            if let Entry::Settle {
                settlement, lane, ..
            } = &**entry
            {
                keys.insert((settlement.delivery_id, settlement.token));
                if let Some(lane) = lane {
                    *lanes.entry(*lane).or_default() += 1;
                }
            }
        }
        (lanes, keys)
    }
}

impl Recorder {
    fn begin(&mut self) {
        let count = match self.works {
            Works::Gates => self.gates.len(),
            _ => self.settlements.len(),
        };
        self.parts = Some(Parts::new((0..count).map(|_| 1), BATCH, usize::MAX));
        self.refused.clear();
    }

    fn join(&mut self, batch: &mut Vec<Arc<Entry>>, us: u64) {
        if self.parked_due <= us {
            let new = std::mem::replace(batch, std::mem::take(&mut self.parked));
            batch.extend(new);
            return;
        }
        let ids: HashSet<Arc<str>> = batch.iter().filter_map(|e| gated(e)).collect();
        let is_first = |entry: &mut Arc<Entry>| gated(entry).is_some_and(|id| ids.contains(&id));
        let first: Vec<_> = self.parked.extract_if(.., is_first).collect();
        batch.splice(..0, first);
    }
}

fn gated(entry: &Entry) -> Option<Arc<str>> {
    match entry {
        Entry::Gate(gate, _) => Some(gate.endpoint_id.clone()),
        Entry::Settle { .. } => None,
    }
}

fn gate(entry: &Entry) -> &EndpointGate {
    match entry {
        Entry::Gate(gate, _) => gate,
        Entry::Settle { .. } => unreachable!("a gate"),
    }
}

pub(super) fn settlement(entry: &Entry) -> &Settlement {
    match entry {
        Entry::Settle { settlement, .. } => settlement,
        Entry::Gate(..) => unreachable!("a settlement"),
    }
}

fn lane(entry: &Entry) -> Option<LaneId> {
    match entry {
        Entry::Settle { lane, .. } => *lane,
        Entry::Gate(..) => None,
    }
}

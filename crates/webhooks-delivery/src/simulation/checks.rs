//! The rules, checked after each step: of requests that start (`starts.rs`), of what is given back and
//! written down (`entries.rs`), of gates (`gates.rs`, `expected.rs`), of claims and what they leave
//! (`claims.rs`, `backlogs.rs`), of the order in lanes
//! and between them (`order.rs`), and of whether all get on (`progress.rs`).

mod backlogs;
mod claims;
mod entries;
mod expected;
mod gates;
mod order;
mod progress;
mod starts;

use std::collections::{BTreeMap, HashSet};

use webhooks_core::storage::spi::{EndpointGate, GateChange, Settlement};

use self::expected::{Expected, Told};
use super::claiming::Does;
use super::model::Running;
use super::node::Input;
use super::spy::Asked;
use super::trace::fail;
use super::world::World;
use crate::schedule::{Command, Entry, LaneId, LaneView, Now, Outside};

/// A scheduler as it was before an input.
#[derive(Debug)]
pub(super) struct Before {
    entries: usize,
    lanes: BTreeMap<LaneId, LaneView>,
}

/// What came of one input.
struct Step<'a> {
    now: Now,
    before: &'a Before,
    after: BTreeMap<LaneId, LaneView>,
    input: &'a Input<'a>,
    commands: &'a [Command],
    asked: Vec<Asked>,
    /// The request that ended with this input.
    ended: Option<Running>,
    settled: Vec<(Settlement, Option<LaneId>)>,
    gates: Vec<(EndpointGate, Option<Told>)>,
}

impl World<'_> {
    pub(super) fn before(&mut self, n: usize, now: Now) -> Before {
        let scheduler = self.scheduler(n);
        Before {
            entries: scheduler.entries().len(),
            lanes: by_id(scheduler.views(now)),
        }
    }

    pub(super) fn check(
        &mut self,
        n: usize,
        now: Now,
        before: &Before,
        input: Input<'_>,
        commands: &[Command],
    ) {
        self.note(|| format!("n{n} {}", name(&input)));
        let (us, node) = (self.us, &mut self.nodes[n]);
        let model = &node.model;
        if model
            .running
            .values()
            .any(|running| model.lane(&running.key).is_gone)
        {
            node.left_running = us;
        }
        let outside = self.outside(n);
        if let Err(problem) = self.scheduler(n).audit(now, &outside) {
            fail(
                "counts are right",
                format!("n{n} after {}: {problem}", name(&input)),
            );
        }
        let mut step = self.step_of(n, now, before, &input, commands);
        let mut expected = self.learn(n, &mut step);
        self.check_starts(n, &step);
        self.expect_holds(n, &step, &mut expected);
        self.check_gates(&step, &expected);
        self.check_entries(n, &step, &expected);
        self.check_order(n, &step);
        self.check_turns(n, &step);
        self.check_backlogs(n, &step);
    }

    fn step_of<'a>(
        &mut self,
        n: usize,
        now: Now,
        before: &'a Before,
        input: &'a Input<'a>,
        commands: &'a [Command],
    ) -> Step<'a> {
        let (mut settled, mut gates) = (Vec::new(), Vec::new());
        for entry in self.scheduler(n).entries().skip(before.entries) {
            match entry {
                Entry::Settle {
                    settlement, lane, ..
                } => settled.push((settlement.clone(), *lane)),
                Entry::Gate(gate, notice) => {
                    gates.push((gate.clone(), notice.as_ref().and_then(Told::of)));
                }
            }
        }
        Step {
            now,
            before,
            after: by_id(self.scheduler(n).views(now)),
            input,
            commands,
            asked: self.nodes[n].admission.take(),
            ended: None,
            settled,
            gates,
        }
    }

    /// Takes over what the input says, before anything starts; what should follow from it.
    fn learn(&mut self, n: usize, step: &mut Step<'_>) -> Expected {
        let us = self.us;
        let mut expected = Expected::default();
        let model = &mut self.nodes[n].model;
        match step.input {
            Input::Beaten { asked, lost } => {
                let ended = model.window_ends;
                let is_late = ended > 0 && us >= ended + 2_000_000;
                model.window_ends = asked + 10_000_000;
                model.losses += u64::from(*lost || is_late);
            }
            Input::Changes(records) => {
                let news = model.read(records, us);
                for (key, epoch) in news.recovered {
                    expected.gate(&key.0, epoch, GateChange::Recovered);
                }
                expected.anew = news.anew;
                expected.forgets = step.known_changed(records);
            }
            Input::Ended(request, result) => {
                if let Some(running) = model.running.remove(request) {
                    self.learn_end(n, step, &running, *result, &mut expected);
                    step.ended = Some(running);
                }
            }
            Input::CutOff => model.running.clear(),
            _ => {}
        }
        expected
    }

    fn outside(&self, n: usize) -> Outside {
        let (entries, recorded) = self.recorded(n);
        let mut unknown = HashSet::new();
        for claimer in &self.nodes[n].claimers {
            if let Does::Asks(claim) | Does::Reads(claim, _) = &claimer.does {
                unknown.extend(claim.unknown().map(|leased| (leased.id, leased.token)));
            }
        }
        Outside {
            entries: entries.into_iter().collect(),
            recorded,
            unknown,
            were_left_running: self.us
                <= self.nodes[n].left_running.max(self.nodes[n].resumed) + 260_000,
            was_clock_set: self.stepped > 0,
            batches_vary: self.batches_vary,
        }
    }
}

fn by_id(views: Vec<LaneView>) -> BTreeMap<LaneId, LaneView> {
    views.into_iter().map(|view| (view.id, view)).collect()
}

fn name(input: &Input<'_>) -> String {
    match input {
        Input::Changes(records) => format!("Changes({})", records.len()),
        Input::Stored(sendings, _) => format!("Stored({})", sendings.len()),
        Input::Ended(request, _) => format!("Ended({request:?})"),
        other => format!("{other:?}"),
    }
}

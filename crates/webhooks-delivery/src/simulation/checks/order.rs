//! The order within lanes, and between them.

use super::Step;
use crate::schedule::{Command, LaneId, LaneView, Leased};
use crate::simulation::node::Input;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

impl World<'_> {
    /// What waits in a lane keeps its order; what comes takes its place.
    pub(super) fn check_order(&mut self, n: usize, step: &Step<'_>) {
        for (id, view) in &step.after {
            let before = step.before.lanes.get(id);
            let waited = before.map_or(&[][..], |before| &before.waiting[..]);
            if waited.is_empty() && view.waiting.len() < 2 {
                continue;
            }
            let mut now = self.started(n, step, *id);
            now.extend(view.waiting.iter().cloned());
            // A suspect goes before all others.
            now.retain(|leased| !leased.is_suspect);
            self.check_kept(step, view, waited, &now);
        }
    }

    fn started(&self, n: usize, step: &Step<'_>, lane: LaneId) -> Vec<Leased> {
        let starts = step.commands.iter().filter_map(|command| match command {
            Command::Start(request) if request.id.lane() == lane => Some(request.id),
            _ => None,
        });
        starts
            .flat_map(|id| self.nodes[n].model.running[&id].carried.clone())
            .collect()
    }

    fn check_kept(&self, step: &Step<'_>, view: &LaneView, waited: &[Leased], now: &[Leased]) {
        let name = &view.endpoint_id;
        let is_old = |leased: &Leased| waited.iter().position(|old| old.id == leased.id);
        let places: Vec<_> = now.iter().filter_map(is_old).collect();
        if !places.is_sorted() {
            fail("a lane keeps its order", format!("{name}: {places:?}"));
        }
        let back = step.ended.as_ref().filter(|running| running.key.0 == *name);
        let is_back = |leased: &&Leased| {
            back.is_some_and(|running| running.carried.iter().any(|c| c.id == leased.id))
        };
        let backs = now.iter().take_while(is_back).count();
        let carried = back.map_or(&[][..], |running| &running.carried);
        let ids = |leased: &[Leased]| leased.iter().map(|l| l.id).collect::<Vec<_>>();
        let mut should = ids(carried);
        should.retain(|id| now.iter().any(|leased| leased.id == *id));
        let is_whole = ids(&now[..backs]) == should;
        if backs < now.iter().filter(is_back).count() || !is_whole {
            fail("what comes back goes first", name);
        }
        for (place, leased) in now.iter().enumerate().skip(backs) {
            if is_old(leased).is_some() {
                continue;
            }
            let (before, after) = (&now[..place], &now[place + 1..]);
            if let Input::Stored(..) = step.input {
                let key = leased.sort_key;
                let is_first = before.last().is_none_or(|last| last.sort_key <= key);
                if !is_first
                    || after
                        .iter()
                        .any(|later| later.sort_key <= key && is_old(later).is_some())
                {
                    fail(
                        "what is stored takes its place",
                        format!("{name}: {leased:?}"),
                    );
                }
            } else if after.iter().any(|later| is_old(later).is_some()) {
                fail("what is claimed goes last", format!("{name}: {leased:?}"));
            }
        }
    }

    /// No lane starts twice past another that could have started.
    pub(super) fn check_turns(&mut self, n: usize, step: &Step<'_>) {
        let starts: Vec<_> = step
            .commands
            .iter()
            .filter_map(|command| match command {
                Command::Start(request) => Some(request.id.lane()),
                _ => None,
            })
            .collect();
        if self.outside(n).were_left_running {
            self.nodes[n].model.passed.clear();
            return;
        }
        let model = &mut self.nodes[n].model;
        let could = |views: &std::collections::BTreeMap<LaneId, LaneView>, id: &LaneId| {
            views.get(id).is_some_and(|view| view.could_start)
        };
        let waits = |id: &LaneId| {
            could(&step.before.lanes, id) && could(&step.after, id) && !starts.contains(id)
        };
        model.passed.retain(|(waiting, _), _| waits(waiting));
        let waiting: Vec<_> = step.after.keys().filter(|id| waits(id)).copied().collect();
        for other in &starts {
            for id in &waiting {
                let passed = model.passed.entry((*id, *other)).or_default();
                *passed += 1;
                // A tenant's lanes also wait for each other.
                let has_tenant = step.after[id].has_tenant;
                if *passed > if has_tenant { 5 } else { 1 } {
                    let (name, other) =
                        (&step.after[id].endpoint_id, &step.after[other].endpoint_id);
                    fail(
                        "lanes have their turns",
                        format!("{other} goes past {name}"),
                    );
                }
            }
        }
    }
}

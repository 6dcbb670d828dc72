//! What is written down: once for each lease, and as it came.

use std::collections::BTreeSet;
use std::sync::Arc;

use webhooks_core::CancelReason;
use webhooks_core::storage::spi::{HeldLease, SettleAs, Settlement};

use super::Step;
use super::expected::Expected;
use crate::schedule::{Entry, LaneId};
use crate::simulation::node::Input;
use crate::simulation::recording::settlement;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

impl World<'_> {
    pub(super) fn check_entries(&mut self, n: usize, step: &Step<'_>, expected: &Expected) {
        let mut outcomes = 0;
        for (settlement, lane) in &step.settled {
            let key = (settlement.delivery_id, settlement.token);
            let is_new = self.nodes[n].model.settled.insert(key);
            if !is_new {
                fail("a lease is settled once", format!("{settlement:?}"));
            }
            let is_it = |(lease, _): &&(_, _)| *lease == key;
            match expected.settled.iter().find(is_it) {
                Some((_, outcome)) => {
                    outcomes += 1;
                    let Some(attempt) = &settlement.attempt else {
                        fail("what came of a request is told", format!("{settlement:?}"));
                    };
                    if !outcome.is(settlement.settle_as) {
                        fail(
                            "a delivery goes where it should",
                            format!("{settlement:?}, not {outcome:?}"),
                        );
                    }
                    self.check_attempt(step, settlement, attempt);
                }
                None => self.check_not_sent(n, step, settlement, *lane),
            }
        }
        if let Input::NotStored(places) = step.input
            && step.settled.len() != *places
        {
            fail(
                "what is perhaps stored is given back",
                format!("{places} places"),
            );
        }
        if outcomes != expected.settled.len() {
            fail(
                "what came of a request is told",
                format!("{:?}", expected.settled),
            );
        }
        let metrics = self.scheduler(n).attempts();
        let model = &self.nodes[n].model;
        if metrics.succeeded + metrics.failed != model.ended || metrics.retried != model.retried {
            fail("attempts are counted", format!("{metrics:?}"));
        }
    }

    fn check_attempt(
        &self,
        step: &Step<'_>,
        settlement: &Settlement,
        attempt: &webhooks_core::AttemptRecord,
    ) {
        let Some(running) = &step.ended else { return };
        let leased = running
            .carried
            .iter()
            .find(|leased| leased.id == settlement.delivery_id);
        let number = leased.map(|leased| leased.attempts + 1);
        let Input::Ended(_, Some(result)) = step.input else {
            return;
        };
        let is_it = Some(attempt.number) == number
            && attempt.started_at == running.started_at
            && attempt.status == result.status
            && attempt.failure == result.failure()
            && attempt.duration == result.duration;
        if !is_it {
            fail("an attempt is logged as it was", format!("{attempt:?}"));
        }
    }

    /// What was not sent goes back, not counted, due at once; or is cancelled, as it is not taken.
    fn check_not_sent(
        &self,
        n: usize,
        step: &Step<'_>,
        settlement: &Settlement,
        lane: Option<LaneId>,
    ) {
        let model = &self.nodes[n].model;
        if settlement.attempt.is_some() {
            fail("what was not sent is no attempt", format!("{settlement:?}"));
        }
        let view = lane.and_then(|lane| step.after.get(&lane).or(step.before.lanes.get(&lane)));
        let model_lane = view.map(|v| model.lane(&(v.endpoint_id.clone(), v.incarnation)));
        match settlement.settle_as {
            SettleAs::Cancelled {
                reason: CancelReason::TypeNotTaken,
            } => {
                let filters = model
                    .of(&settlement.endpoint_id)
                    .map(|lane| lane.filters.clone());
                let types = self.ledger_type(settlement.delivery_id);
                let (event_type, by_name) = types;
                let takes = |f: &webhooks_core::EventFilter| f.matches(event_type);
                if by_name || filters.is_some_and(|filters| filters.iter().any(takes)) {
                    fail(
                        "only what is not taken is cancelled",
                        format!("{settlement:?}"),
                    );
                }
            }
            SettleAs::Release { at } => {
                let now = step.now.at;
                // Of what is gone, nothing is due any more.
                if model_lane.is_some_and(|lane| lane.is_gone) {
                    return;
                }
                let wait = model_lane.and_then(|lane| lane.record.endpoint.batch);
                let wait = i64::try_from(wait.map_or(0, |batch| batch.max_wait_ms)).unwrap();
                let after = at.as_millis() - now.as_millis();
                let node = &self.nodes[n];
                let may_be_lost = node.leaving.is_some() || model.losses > 0;
                let is_right = match (lane, step.input) {
                    (Some(_), Input::CutOff) => after == 0 || after == -wait,
                    (Some(_), Input::Stored(..) | Input::EndClaim | Input::Claimed(_)) => {
                        after == -wait || after == 0
                    }
                    (Some(_), _) => after == -wait,
                    (None, Input::Claimed(_) | Input::EndClaim) => {
                        after == 1_000 || (after == 0 && may_be_lost)
                    }
                    (None, _) => after == 0,
                };
                if !is_right {
                    fail(
                        "what goes back is due at once",
                        format!("{settlement:?} at {now}"),
                    );
                }
                self.check_reason(n, step, settlement, lane);
            }
            _ => fail("what was not sent goes back", format!("{settlement:?}")),
        }
    }

    /// Nothing goes back for no reason.
    fn check_reason(
        &self,
        n: usize,
        step: &Step<'_>,
        settlement: &Settlement,
        lane: Option<LaneId>,
    ) {
        let node = &self.nodes[n];
        let is_excused = node.leaving.is_some()
            || matches!(
                step.input,
                Input::CutOff | Input::Stopped | Input::NotStored(_)
            )
            || matches!(step.input, Input::Beaten { lost: true, .. })
            || matches!(step.input, Input::Ended(_, None))
            || self.us >= node.model.window_ends
            || step
                .ended
                .as_ref()
                .is_some_and(|running| running.losses < node.model.losses);
        if is_excused || node.model.losses > 0 {
            return;
        }
        let Some(lane) = lane else {
            if !matches!(step.input, Input::Claimed(_) | Input::EndClaim) {
                fail("nothing goes back for no reason", format!("{settlement:?}"));
            }
            return;
        };
        let view = step.after.get(&lane).or(step.before.lanes.get(&lane));
        let Some(view) = view else { return };
        let model = node
            .model
            .lane(&(view.endpoint_id.clone(), view.incarnation));
        if model.closed(step.now.at).is_none() && !view.is_stalled && model.disabled.is_none() {
            fail("nothing goes back for no reason", format!("{settlement:?}"));
        }
    }

    /// What was lost is not known, was seen before, and does not start.
    pub(in crate::simulation) fn check_lost(&mut self, n: usize, lost: &[HeldLease]) {
        let model = &mut self.nodes[n].model;
        for lease in lost {
            let key = (lease.delivery_id, lease.token);
            let runs = |l: &crate::schedule::Leased| (l.id, l.token) == key;
            if model.running.values().any(|r| r.carried.iter().any(runs)) {
                fail("only what is lost is given back", format!("{lease:?}"));
            }
            model.given_back.insert(key);
        }
    }

    /// These are written down, or refused for good.
    pub(in crate::simulation) fn note_settled(
        &mut self,
        n: usize,
        all: &[Arc<Entry>],
        _refused: &BTreeSet<usize>,
    ) {
        let model = &mut self.nodes[n].model;
        for entry in all {
            let id = settlement(entry).delivery_id;
            if model.suspect == Some(id) {
                model.suspect = None;
            }
        }
    }

    /// A node that has left holds nothing, but for what an answer was lost of.
    pub(in crate::simulation) fn check_left(&mut self, n: usize) {
        let node = &self.nodes[n];
        let has_faults = self.plan.faults.answer_lost + self.plan.faults.done_later > 0;
        let held = self.ledger.rows.values();
        let held = held.filter(|row| row.lease.as_ref().is_some_and(|l| l.0 == node.worker));
        let held = held.count();
        if held > 0 && !has_faults {
            fail("who leaves holds nothing", format!("n{n}: {held}"));
        }
    }
}

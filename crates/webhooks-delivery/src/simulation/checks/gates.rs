//! What an endpoint's responses mean for it, by the rules.

use std::time::Duration;

use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::GateChange;
use webhooks_core::{
    Admission, CircuitState, DeadReason, DeliveryResult, FailureKind, Timestamp, Verdict,
};

use super::Step;
use super::expected::{Expected, Outcome, Told};
use crate::simulation::model::Running;
use crate::simulation::spy::Asked;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

impl World<'_> {
    /// Takes over what a request came to, and what should follow from it.
    pub(super) fn learn_end(
        &mut self,
        n: usize,
        step: &Step<'_>,
        running: &Running,
        result: Option<&DeliveryResult>,
        expected: &mut Expected,
    ) {
        let lane = self.nodes[n].model.lane(&running.key);
        let (was, is) = (&running.record, &lane.record);
        let is_there =
            !lane.is_gone && was.endpoint.url == is.endpoint.url && was.gate.epoch == is.gate.epoch;
        if lane.is_gone || *was.endpoint != *is.endpoint {
            expected.forgets.push(running.key.0.clone());
        }
        let Some(result) = result else {
            return self.learn_untried(n, step, running, is_there, expected);
        };
        self.check_verdict(running, step, result);
        if is_there {
            self.learn_circuit(n, step, running, expected);
            if let Some(wait) = result.retry_after {
                let until = step.now.at.after(wait);
                self.expect_hold(n, running, until, expected);
                self.nodes[n].model.lane_mut(&running.key).window = 1;
            }
        }
        let refused = [Some(FailureKind::ClientError), Some(FailureKind::TooLarge)];
        if running.is_batch && refused.contains(&result.failure()) {
            let lane = self.nodes[n].model.lane_mut(&running.key);
            let taken = running.carried.iter().filter(|l| lane.takes_leased(l));
            lane.alone += taken.count();
        } else {
            if is_there {
                self.learn_health(n, step, running, result, expected);
            }
            self.expect_outcomes(n, step, running, result, expected);
        }
        let us = self.us;
        let lane = self.nodes[n].model.lane_mut(&running.key);
        lane.untried = 0;
        lane.is_quick = result.is_delivered() && us - running.started < 100_000;
        if result.is_delivered() {
            lane.last_success = Some(us);
            lane.window = lane.window.saturating_add(1);
        }
    }

    fn learn_untried(
        &mut self,
        n: usize,
        step: &Step<'_>,
        running: &Running,
        is_there: bool,
        expected: &mut Expected,
    ) {
        let settled = step
            .asked
            .iter()
            .any(|asked| matches!(asked, Asked::Settled { .. }));
        let dropped = step
            .asked
            .iter()
            .any(|asked| matches!(asked, Asked::Dropped));
        if settled || !dropped {
            fail("what was not tried says nothing", &running.key.0);
        }
        let lane = self.nodes[n].model.lane_mut(&running.key);
        lane.is_quick = false;
        let seconds = (1_u64 << lane.untried.min(10)).min(30);
        lane.untried += 1;
        if running.is_batch {
            // It goes back whole.
        } else if lane.record.endpoint.batch.is_some() && !running.carried[0].is_suspect {
            lane.alone += 1;
        }
        if is_there {
            let until = step.now.at.after(Duration::from_secs(seconds));
            self.expect_hold(n, running, until, expected);
        }
    }

    fn expect_hold(
        &mut self,
        n: usize,
        running: &Running,
        until: Timestamp,
        expected: &mut Expected,
    ) {
        let lane = self.nodes[n].model.lane_mut(&running.key);
        lane.hold(until);
        let epoch = lane.record.gate.epoch;
        expected.gate(&running.key.0, epoch, GateChange::Hold { until });
    }

    /// The verdict is what the result says.
    fn check_verdict(&self, running: &Running, step: &Step<'_>, result: &DeliveryResult) {
        let should = match result.failure() {
            None | Some(FailureKind::Redirect | FailureKind::ClientError | FailureKind::Gone) => {
                Some(Verdict::Alive)
            }
            Some(FailureKind::TooLarge) => Some(Verdict::Alive),
            Some(FailureKind::UrlRefused | FailureKind::Unbuildable) => None,
            Some(_) => Some(Verdict::Failed),
        };
        let is = step.asked.iter().find_map(|asked| match asked {
            Asked::Settled { verdict, .. } => Some(*verdict),
            _ => None,
        });
        if is != should {
            fail(
                "the verdict is what came",
                format!("{}: {is:?}, {result:?}", running.key.0),
            );
        }
    }

    fn learn_circuit(
        &mut self,
        n: usize,
        step: &Step<'_>,
        running: &Running,
        expected: &mut Expected,
    ) {
        let changed = step.asked.iter().find_map(|asked| match asked {
            Asked::Settled { changed, .. } => *changed,
            _ => None,
        });
        let Some(circuit) = changed else { return };
        let probes = self.plan.settings.half_open_max_requests;
        let limit = (circuit.state != CircuitState::Closed).then_some(probes);
        let lane = self.nodes[n].model.lane_mut(&running.key);
        lane.window = probes as usize;
        let change = GateChange::LimitLeased(limit);
        let told = Some(Told::Circuit(circuit.state));
        expected.gate_and_tell(&running.key.0, lane.record.gate.epoch, change, told);
        if let Some(until) = circuit.reopens_at {
            self.expect_hold(n, running, until, expected);
        }
    }

    fn learn_health(
        &mut self,
        n: usize,
        step: &Step<'_>,
        running: &Running,
        result: &DeliveryResult,
        expected: &mut Expected,
    ) {
        let (id, at) = (&running.key.0, step.now.at);
        let circuit = self.nodes[n].admission.circuit(id, at);
        let after = self.plan.settings.auto_disable_after;
        let lane = self.nodes[n].model.lane_mut(&running.key);
        let epoch = lane.record.gate.epoch;
        match result.failure() {
            None => {
                let held = lane.record.gate.held_until;
                let is_stale =
                    held.is_none_or(|until| at.as_millis() - until.as_millis() > 120_000);
                if lane.max_leased.is_some() && is_stale && circuit.state == CircuitState::Closed {
                    lane.max_leased = None;
                    expected.gate(id, epoch, GateChange::LimitLeased(None));
                }
                lane.succeeded_at = Some(at);
                if lane.failing_since.take().is_some() {
                    lane.is_warned = false;
                    expected.gate(id, epoch, GateChange::Recovered);
                }
            }
            Some(FailureKind::Gone) => {
                if lane.disable(DisabledBy::Gone, at) {
                    let by = DisabledBy::Gone;
                    let told = Some(Told::Disabled(by));
                    expected.gate_and_tell(id, epoch, GateChange::Disable(by), told);
                }
            }
            Some(_) => {
                let since = match lane.failing_since {
                    Some(since) => since,
                    None => {
                        lane.failing_since = Some(at);
                        expected.gate(id, epoch, GateChange::FailingSince(at));
                        at
                    }
                };
                let Some(after) = after else { return };
                let failed = u128::try_from(at.as_millis() - since.as_millis()).unwrap_or(0);
                if failed >= after.as_millis() {
                    if lane.disable(DisabledBy::Failing, at) {
                        let by = DisabledBy::Failing;
                        let told = Some(Told::Disabled(by));
                        expected.gate_and_tell(id, epoch, GateChange::Disable(by), told);
                    }
                } else if !lane.is_warned && failed * 5 >= after.as_millis() * 4 {
                    lane.is_warned = true;
                    expected.warned.push(id.clone());
                }
            }
        }
    }

    /// Where each delivery goes.
    fn expect_outcomes(
        &mut self,
        n: usize,
        step: &Step<'_>,
        running: &Running,
        result: &DeliveryResult,
        expected: &mut Expected,
    ) {
        let strategy = self.plan.settings.retry_strategy;
        let model = &mut self.nodes[n].model;
        let lane = model.lane(&running.key).clone();
        for leased in &running.carried {
            model.ended += 1;
            model.retried += u64::from(leased.attempts > 0);
            let outcome = match result.failure() {
                None => Outcome::Delivered,
                Some(
                    FailureKind::Gone
                    | FailureKind::TooLarge
                    | FailureKind::UrlRefused
                    | FailureKind::Unbuildable,
                ) => Outcome::Dead(DeadReason::PermanentFailure),
                Some(_) if leased.is_last => Outcome::Dead(DeadReason::AttemptsExhausted),
                Some(_) if !lane.takes_leased(leased) => Outcome::NotTaken,
                Some(_) => {
                    let growth = strategy.backoff_multiplier.powf(f64::from(leased.attempts));
                    let delay = strategy.initial_delay_ms as f64 * growth;
                    let least = 0.9 * delay.min(strategy.max_delay_ms as f64);
                    let least =
                        Duration::from_secs_f64(least / 1_000.0 - 0.001_f64.min(least / 1_000.0));
                    let wait = least.max(result.retry_after.unwrap_or_default());
                    Outcome::Retry(step.now.at.after(wait))
                }
            };
            // A process that lost a lease may hold the same delivery under another one by now.
            expected.settled.push(((leased.id, leased.token), outcome));
        }
    }
}

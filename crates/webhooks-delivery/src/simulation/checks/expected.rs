//! What should follow from an input, and whether it does: holds, limits, and what is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use webhooks_core::storage::spi::{EndpointGate, GateChange, SettleAs};
use webhooks_core::storage::{DisabledBy, EndpointRecord};
use webhooks_core::{CancelReason, CircuitState, DeadReason, Timestamp};

use super::Step;
use crate::notice::Notice;
use crate::schedule::{Command, LeaseKey};
use crate::simulation::spy::Asked;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

/// What should follow from an input.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Changes of gates, each with what is told once it is stored.
    pub(super) gates: Vec<(EndpointGate, Option<Told>)>,
    /// Where each delivery of the request that ended goes, with the number of its attempt.
    pub(super) settled: Vec<(LeaseKey, Outcome)>,
    /// Endpoints that will be disabled.
    pub(super) warned: Vec<Arc<str>>,
    /// Endpoints that the transport is to forget.
    pub(super) forgets: Vec<Arc<str>>,
    /// Endpoints whose health admission is to forget.
    pub(super) anew: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Delivered,
    /// Not before.
    Retry(Timestamp),
    Dead(DeadReason),
    NotTaken,
}

impl Outcome {
    /// Whether a delivery goes where it should.
    pub(super) fn is(self, settle_as: SettleAs) -> bool {
        match (self, settle_as) {
            (Self::Delivered, SettleAs::Delivered) => true,
            (Self::Retry(least), SettleAs::Retry { at }) => at >= least,
            (Self::Dead(reason), SettleAs::Dead { reason: is }) => reason == is,
            (Self::NotTaken, SettleAs::Cancelled { reason }) => {
                reason == CancelReason::TypeNotTaken
            }
            _ => false,
        }
    }
}

impl Expected {
    pub(super) fn gate(&mut self, endpoint_id: &Arc<str>, epoch: u64, change: GateChange) {
        self.gate_and_tell(endpoint_id, epoch, change, None);
    }

    pub(super) fn gate_and_tell(
        &mut self,
        endpoint_id: &Arc<str>,
        epoch: u64,
        change: GateChange,
        told: Option<Told>,
    ) {
        let endpoint_id = endpoint_id.clone();
        let epoch = Some(epoch);
        self.gates.push((
            EndpointGate {
                endpoint_id,
                epoch,
                change,
            },
            told,
        ));
    }
}

/// What is told with a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Circuit(CircuitState),
    Disabled(DisabledBy),
}

impl Told {
    pub(super) fn of(notice: &Notice) -> Option<Self> {
        match notice {
            Notice::CircuitChanged { circuit, .. } => Some(Self::Circuit(circuit.state)),
            Notice::EndpointDisabled { by, .. } => Some(Self::Disabled(*by)),
            _ => None,
        }
    }
}

impl Step<'_> {
    /// The changed endpoints that were known before.
    pub(super) fn known_changed(&self, records: &[EndpointRecord]) -> Vec<Arc<str>> {
        let lanes = || self.before.lanes.values();
        let mut known: BTreeSet<_> = lanes()
            .filter(|lane| !lane.is_gone)
            .map(|lane| lane.endpoint_id.clone())
            .collect();
        let mut forgets = Vec::new();
        for record in records {
            let id: Arc<str> = record.endpoint.id.as_str().into();
            if known.contains(&id) {
                forgets.push(id.clone());
            }
            match record.deleted {
                true => known.remove(&id),
                false => known.insert(id),
            };
        }
        forgets
    }
}

impl World<'_> {
    /// What admission refused is held, and nothing of it is admitted in the same step.
    pub(super) fn expect_holds(&mut self, n: usize, step: &Step<'_>, expected: &mut Expected) {
        let mut refused = BTreeSet::new();
        for asked in &step.asked {
            match asked {
                Asked::Refused {
                    endpoint, until, ..
                } => {
                    if !refused.insert(endpoint.clone()) {
                        fail("what was refused is not asked again", endpoint);
                    }
                    let model = &mut self.nodes[n].model;
                    let incarnation = model.current[endpoint];
                    let lane = model.lane_mut(&(endpoint.clone(), incarnation));
                    lane.hold(*until);
                    let epoch = lane.record.gate.epoch;
                    expected.gate(endpoint, epoch, GateChange::Hold { until: *until });
                }
                Asked::Admitted { endpoint, .. } if refused.contains(endpoint) => {
                    fail("what was refused is not asked again", endpoint);
                }
                _ => {}
            }
        }
    }

    pub(super) fn check_gates(&self, step: &Step<'_>, expected: &Expected) {
        if step.gates != expected.gates {
            let (is, should) = (&step.gates, &expected.gates);
            fail(
                "gates follow from responses",
                format!("{is:?}, but it should be {should:?}"),
            );
        }
        let mut warned = Vec::new();
        let mut forgets = Vec::new();
        for command in step.commands {
            match command {
                Command::Tell(Notice::EndpointFailing { endpoint_id, .. }) => {
                    warned.push(endpoint_id.clone());
                }
                Command::Forget(endpoint_id) => forgets.push(endpoint_id.clone()),
                _ => {}
            }
        }
        let forgot = |id: &Arc<str>| {
            let is_it =
                |asked: &Asked| matches!(asked, Asked::Forgot { endpoint } if endpoint == id);
            step.asked.iter().any(is_it)
        };
        if let Some(id) = expected.anew.iter().find(|id| !forgot(id)) {
            fail("health that is void is forgotten", id);
        }
        if warned != expected.warned {
            fail(
                "who fails is warned of once",
                format!("{warned:?}, {:?}", expected.warned),
            );
        }
        if !expected.forgets.iter().all(|id| forgets.contains(id)) {
            let should = &expected.forgets;
            fail(
                "the transport forgets what has changed",
                format!("{forgets:?}, {should:?}"),
            );
        }
    }
}

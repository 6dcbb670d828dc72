//! What a response means for the endpoint that gave it.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::{GateChange, WORKER_DEAD_AFTER};
use webhooks_core::{Admission, Circuit, CircuitState, DeliveryResult, FailureKind, Timestamp};

use super::command::{Command, Commands};
use super::health::Failing;
use super::lane::Lane;
use crate::notice::Notice;
use crate::settings::Settings;

/// How long after a hold its limit of leases is still that of a process that probes.
const STALE_LIMIT: Duration = Duration::from_secs(120);

/// Draws for an endpoint what follows from a response, at `now`.
pub(super) struct Consequences<'a> {
    pub(super) lane: &'a mut Lane,
    pub(super) out: &'a mut Commands,
    pub(super) settings: &'a Settings,
    pub(super) admission: &'a dyn Admission,
    pub(super) now: Timestamp,
}

impl Consequences<'_> {
    /// The response asks for a pause.
    pub(super) fn retry_after(&mut self, wait: Duration) {
        self.lane.pace.start_from(1);
        self.hold(self.now.after(wait));
    }

    /// Parks the endpoint while its circuit is open, for other processes too.
    pub(super) fn circuit_changed(&mut self, circuit: Circuit) {
        let endpoint_id = self.lane.endpoint_id.clone();
        tracing::info!(%endpoint_id, state = ?circuit.state, "circuit changed");
        let probes = self.settings.half_open_max_requests;
        let limit = match circuit.state {
            CircuitState::Closed => None,
            CircuitState::Open | CircuitState::HalfOpen => Some(probes),
        };
        let changed = Notice::CircuitChanged {
            endpoint_id,
            circuit,
        };
        self.gate(GateChange::LimitLeased(limit), Some(changed));
        // From as many as probed the endpoint on.
        self.lane.pace.start_from(probes);
        if let Some(until) = circuit.reopens_at {
            self.hold(until);
        }
    }

    /// Keeps track of how long the endpoint has only failed, and disables one that is gone or has
    /// failed for too long.
    pub(super) fn health(&mut self, result: &DeliveryResult) {
        match result.failure() {
            None => {
                self.lift_stale_limit();
                if self.lane.health.succeeded(self.now) {
                    self.gate(GateChange::Recovered, None);
                }
            }
            Some(FailureKind::Gone) => self.disable(DisabledBy::Gone),
            Some(_) => self.failed(),
        }
    }

    fn failed(&mut self) {
        if self.lane.health.is_well() {
            self.gate(GateChange::FailingSince(self.now), None);
        }
        let disable_after = self.settings.auto_disable_after;
        match self.lane.health.failed(disable_after, self.now) {
            Failing::Bearable => {}
            Failing::Warn { since, disabled_at } => {
                let endpoint_id = self.lane.endpoint_id.clone();
                tracing::warn!(%endpoint_id, %since, %disabled_at, "endpoint will be disabled");
                self.out.push(Command::Tell(Notice::EndpointFailing {
                    endpoint_id,
                    since,
                    disabled_at,
                }));
            }
            Failing::TooLong => self.disable(DisabledBy::Failing),
        }
    }

    /// Lifts the limit of leases that a process left behind when it died with an open circuit.
    fn lift_stale_limit(&mut self) {
        let gate = &self.lane.record.gate;
        let is_over = |until| self.now.since(until) > STALE_LIMIT;
        let is_stale = gate.max_leased.is_some() && gate.held_until.is_none_or(is_over);
        let circuit = || self.admission.circuit(&self.lane.endpoint_id, self.now);
        if is_stale && circuit().state == CircuitState::Closed {
            Arc::make_mut(&mut self.lane.record).gate.max_leased = None;
            self.gate(GateChange::LimitLeased(None), None);
        }
    }

    fn disable(&mut self, by: DisabledBy) {
        if self.lane.record.gate.disabled == Some(by) {
            // Another of its requests in flight has done it.
            return;
        }
        Arc::make_mut(&mut self.lane.record).gate.disabled = Some(by);
        // Until the recorder has stored it and the directory has read it.
        self.lane.hold.decide(self.now.after(WORKER_DEAD_AFTER));
        let endpoint_id = self.lane.endpoint_id.clone();
        tracing::warn!(%endpoint_id, ?by, "endpoint is disabled");
        let disabled = Notice::EndpointDisabled { endpoint_id, by };
        self.gate(GateChange::Disable(by), Some(disabled));
    }

    fn hold(&mut self, until: Timestamp) {
        self.lane.hold.decide(until);
        self.gate(GateChange::Hold { until }, None);
    }

    fn gate(&mut self, change: GateChange, notice: Option<Notice>) {
        self.out.gate(self.lane.gate_change(change), notice);
    }
}

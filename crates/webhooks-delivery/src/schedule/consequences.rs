//! What a response means for the endpoint that gave it.
//!
//! Everything here is decided by one process from its own requests and then stored as a change of
//! the endpoint's gate, so that all processes follow. Each change names the epoch that was known:
//! if an operator has reset the endpoint meanwhile, the storage passes it over.
//!
//! The lane acts on what was decided at once; what the storage says later takes its place.

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
/// A process that probes renews its hold with each failed probe, so that a hold that ended this
/// long ago, with no other since, was left by one that died. Shorter, and a slow probe of a living
/// process would be taken for that.
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
    /// Draws all: `counts` says whether the response says how the endpoint does.
    pub(super) fn draw(&mut self, circuit: Option<Circuit>, result: &DeliveryResult, counts: bool) {
        if let Some(circuit) = circuit {
            self.circuit_changed(circuit);
        }
        if let Some(wait) = result.retry_after {
            self.retry_after(wait);
        }
        if counts {
            self.health(result);
        }
    }

    /// The response asks for a pause.
    fn retry_after(&mut self, wait: Duration) {
        // An endpoint that says "too much" must not get its whole backlog in the first moment after
        // the wait.
        self.lane.pace.start_from(1);
        self.hold(self.now.after(wait));
    }

    /// Parks the endpoint while its circuit is open, for other processes too.
    fn circuit_changed(&mut self, circuit: Circuit) {
        let endpoint_id = self.lane.endpoint_id.clone();
        tracing::info!(%endpoint_id, state = ?circuit.state, "circuit changed");
        let probes = self.settings.half_open_max_requests;
        let limit = match circuit.state {
            CircuitState::Closed => None,
            // All processes together then lease no more than one probes with: what they would lease
            // on top would only wait.
            CircuitState::Open | CircuitState::HalfOpen => Some(probes),
        };
        let changed = Notice::CircuitChanged {
            endpoint_id,
            circuit,
        };
        // Before the hold, so that no claim finds the endpoint open and unlimited between the two.
        self.gate(GateChange::LimitLeased(limit), Some(changed));
        // From as many as probed the endpoint on.
        self.lane.pace.start_from(probes);
        if let Some(until) = circuit.reopens_at {
            self.hold(until);
        }
    }

    /// Keeps track of how long the endpoint has only failed, and disables one that is gone or has
    /// failed for too long.
    fn health(&mut self, result: &DeliveryResult) {
        match result.failure() {
            None => {
                // Only a success shows that nobody needs the limit any more.
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
        // Asked before `failed`, which begins the time. The storage keeps the earliest that it is
        // told, so that processes agree on when the endpoint is disabled.
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
        // Noted here too, so that the other requests in flight, which fail as well, do not each
        // store and tell it again.
        Arc::make_mut(&mut self.lane.record).gate.disabled = Some(by);
        // Until the recorder has stored it and the directory has read it.
        self.lane.hold.decide(self.now.after(WORKER_DEAD_AFTER));
        let endpoint_id = self.lane.endpoint_id.clone();
        tracing::warn!(%endpoint_id, ?by, "endpoint is disabled");
        let disabled = Notice::EndpointDisabled { endpoint_id, by };
        self.gate(GateChange::Disable(by), Some(disabled));
    }

    fn hold(&mut self, until: Timestamp) {
        // Here at once, and for other processes with the entry. Entries are stored in order: what
        // is given back for this hold comes after it.
        self.lane.hold.decide(until);
        self.gate(GateChange::Hold { until }, None);
    }

    fn gate(&mut self, change: GateChange, notice: Option<Notice>) {
        self.out.gate(self.lane.gate_change(change), notice);
    }
}

//! What an endpoint's health lets through, and what this process makes known of that.
//!
//! What it decides by responses holds in the epoch of the endpoint's health that it knew.

use std::sync::Arc;

use webhooks_core::storage::{EndpointGate, GateChange};
use webhooks_core::{AdmissionDecision, Clock, HeldBy, Permit, Timestamp};

use crate::dispatcher::Dispatcher;
use crate::lane::{Lane, LaneState};
use crate::notice::Notice;
use crate::recorder::Entry;

impl Dispatcher {
    /// Asks whether a request may start, or until when its endpoint is held.
    pub(crate) fn admit(
        &self,
        lane: &Lane,
        state: &mut LaneState,
        now: Timestamp,
    ) -> Result<Box<dyn Permit>, (Timestamp, HeldBy)> {
        self.begin_anew(lane, state);
        let limit = state.rate_limit(self.settings.rate_limit);
        let limit = limit.filter(|_| !self.storage.limits_rate());
        match self.admission.admit(&lane.endpoint_id, limit, now) {
            AdmissionDecision::Go(permit) => Ok(permit),
            AdmissionDecision::Wait { until, because } => Err((until, because)),
        }
    }

    /// Forgets what is known of an endpoint's health, if that counts no more. Under the lane's lock,
    /// so that no request is refused by it, and the endpoint held anew, once the lane knows.
    fn begin_anew(&self, lane: &Lane, state: &mut LaneState) {
        if std::mem::take(&mut state.begins_anew) {
            self.admission.forget(&lane.endpoint_id);
        }
    }

    /// Changes the endpoint's gate in the storage, by what this process has seen in the epoch that
    /// it knows.
    pub(crate) fn change_gate(
        &self,
        lane: &Lane,
        state: &LaneState,
        change: GateChange,
        notice: Option<Notice>,
    ) {
        let gate = EndpointGate {
            endpoint_id: lane.endpoint_id.clone(),
            epoch: Some(state.record.gate.epoch),
            change,
        };
        self.recorder.record(Entry::Gate(gate, notice));
    }

    /// Parks a lane: nothing of it is claimed or started before `until`.
    pub(crate) fn hold(
        &self,
        lane: &Arc<Lane>,
        state: &mut LaneState,
        until: Timestamp,
        because: HeldBy,
    ) {
        tracing::debug!(endpoint_id = %lane.endpoint_id, %until, ?because, "endpoint is held");
        state.hold(until);
        let change = GateChange::Hold { until };
        self.change_gate(lane, state, change, None);
        self.give_back(lane, state, self.clock.now());
    }

    /// Acts on a changed endpoint: what it had in hand goes back if it may not go now.
    pub(crate) fn endpoint_changed(self: &Arc<Self>, lane: &Arc<Lane>) {
        self.transport.forget(&lane.endpoint_id);
        let now = self.clock.now();
        let mut state = lane.lock();
        self.begin_anew(lane, &mut state);
        if std::mem::take(&mut state.has_recovered) {
            state.failing_since = None;
            self.change_gate(lane, &state, GateChange::Recovered, None);
        }
        self.cancel_not_taken(lane, &mut state);
        if !state.is_open(now) {
            self.give_back(lane, &mut state, now);
        }
        drop(state);
        self.dispatch();
        self.work.notify_one();
    }
}

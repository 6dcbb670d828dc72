use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::GateChange;

use super::Model;

impl Model {
    /// Changes a gate, by what was decided so many epochs ago.
    pub(crate) fn gate(&mut self, id: &str, change: GateChange, epochs_ago: u64) {
        let endpoint = self.endpoints.get_mut(id).filter(|e| !e.deleted);
        let Some(endpoint) = endpoint.filter(|e| e.gate.epoch == 0 || epochs_ago == 0) else {
            return;
        };
        let gate = &mut endpoint.gate;
        let is_by_responses = gate.disabled.is_some_and(DisabledBy::is_by_responses);
        let is_off_by_hand = !endpoint.enabled && !is_by_responses;
        match change {
            GateChange::Pause => gate.paused = true,
            GateChange::Resume => (gate.paused, gate.held_until) = (false, None),
            GateChange::Disable(by) if by.is_by_responses() && is_off_by_hand => {}
            GateChange::Disable(by) => {
                endpoint.enabled = false;
                if gate.disabled != Some(DisabledBy::Unverified) {
                    gate.disabled = Some(by);
                }
            }
            GateChange::Enable if gate.disabled == Some(DisabledBy::Unverified) => {}
            GateChange::Enable => {
                endpoint.enabled = true;
                let paused = gate.paused;
                *gate = gate.anew();
                gate.paused = paused;
            }
            GateChange::Reset => {
                gate.epoch += 1;
                (gate.held_until, gate.max_leased, gate.failing_since) = (None, None, None);
            }
            GateChange::Hold { until } => gate.held_until = gate.held_until.max(Some(until)),
            GateChange::LimitLeased(most) => gate.max_leased = most,
            GateChange::FailingSince(at) => {
                gate.failing_since = gate.failing_since.or(Some(at));
            }
            GateChange::Recovered => gate.failing_since = None,
        }
    }
}

//! Gates of endpoints: what lets deliveries through, besides `enabled`.

use webhooks_core::Timestamp;
use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::{EndpointGate, GateChange};

use crate::columns::long;
use crate::endpoint_row::EndpointRow;
use crate::error::Result;
use crate::state::State;

const SAVE: &str = "UPDATE webhook_endpoints SET enabled = ?2, paused = ?3, disabled_by = ?4, \
    held_until = ?5, max_leased = ?6, failing_since = ?7, gate_epoch = ?8, revision = ?9 \
    WHERE seq = ?1";

impl State {
    /// Applies changes of gates in their order. Unknown and deleted endpoints are passed over: one
    /// that is gone must not fail what was decided for the others.
    pub(crate) fn set_gates(&mut self, gates: &[EndpointGate]) -> Result<()> {
        for gate in gates {
            let Some(mut row) = self.endpoint_row(&gate.endpoint_id)? else {
                continue;
            };
            // Decided by answers of an epoch that an operator or a new incarnation has ended since.
            // Applied, it would hold or disable an endpoint for what its predecessor did.
            let is_void = gate.epoch.is_some_and(|epoch| epoch < row.gate.epoch);
            // No new revision for what makes no difference: each one is read by every process.
            if row.is_deleted || is_void || !change_gate(&mut row, gate.change) {
                continue;
            }
            let revision = self.next(|numbers| &mut numbers.revision)?;
            let gate = &row.gate;
            self.execute(
                SAVE,
                (
                    row.seq,
                    row.definition.enabled,
                    gate.paused,
                    gate.disabled.map(DisabledBy::as_str),
                    gate.held_until.map(Timestamp::as_millis),
                    gate.max_leased,
                    gate.failing_since.map(Timestamp::as_millis),
                    long(gate.epoch),
                    revision,
                ),
            )?;
            self.write_lane(row.seq)?;
        }
        Ok(())
    }
}

/// Applies a change to a gate. Whether that made a difference.
fn change_gate(row: &mut EndpointRow, change: GateChange) -> bool {
    let (gate, enabled) = (&mut row.gate, &mut row.definition.enabled);
    let before = (gate.clone(), *enabled);
    // Disabled by an operator, by a save, or not yet verified: what answers say later must not hide
    // that somebody decided it, or an automatic recovery could undo it.
    let is_off_by_hand = !*enabled && !gate.disabled.is_some_and(DisabledBy::is_by_responses);
    match change {
        GateChange::Pause => gate.paused = true,
        GateChange::Resume => (gate.paused, gate.held_until) = (false, None),
        GateChange::Disable(by) if by.is_by_responses() && is_off_by_hand => {}
        GateChange::Disable(by) => {
            *enabled = false;
            if gate.disabled != Some(DisabledBy::Unverified) {
                gate.disabled = Some(by);
            }
        }
        // Who has not answered yet is not enabled by who did not see that.
        GateChange::Enable if gate.disabled == Some(DisabledBy::Unverified) => {}
        GateChange::Enable => {
            *enabled = true;
            // A pause is an operator's, and is lifted by `Resume` alone.
            let paused = gate.paused;
            *gate = gate.anew();
            gate.paused = paused;
        }
        GateChange::Reset => {
            let (paused, disabled) = (gate.paused, gate.disabled);
            *gate = gate.anew();
            (gate.paused, gate.disabled) = (paused, disabled);
        }
        // Holds of several processes and answers: the longest one is what all of them asked for.
        GateChange::Hold { until } => gate.held_until = gate.held_until.max(Some(until)),
        GateChange::LimitLeased(most) => gate.max_leased = most,
        // The first failure of the series says how long it has been failing.
        GateChange::FailingSince(at) => {
            gate.failing_since.get_or_insert(at);
        }
        GateChange::Recovered => gate.failing_since = None,
    }
    // The epoch is part of the gate, so that `Enable` and `Reset` always make a revision.
    before != (gate.clone(), *enabled)
}

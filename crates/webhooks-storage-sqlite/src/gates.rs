//! Gates of endpoints: what lets deliveries through, besides `enabled`.

use webhooks_core::Timestamp;
use webhooks_core::storage::DisabledBy;
use webhooks_core::storage::spi::EndpointGate;

use crate::columns::long;
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
            if row.is_deleted || gate.is_void(&row.gate) {
                continue;
            }
            if !gate
                .change
                .apply(&mut row.gate, &mut row.definition.enabled)
            {
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

//! What lets deliveries of endpoints through.

use std::collections::HashMap;

use webhooks_core::storage::GateState;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::{Result, Timestamp};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, named};
use crate::script::Script;

/// Gates that one run of a script changes at most.
const MOST_GATES: usize = 250;

impl PlainStorage {
    pub(crate) async fn change_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        let mut by_partition: HashMap<usize, Vec<&EndpointGate>> = HashMap::new();
        for gate in gates {
            let partition = self.connection.keys.partition_of(&gate.endpoint_id);
            by_partition.entry(partition).or_default().push(gate);
        }
        let now = now.as_millis().to_string();
        let mut all = Vec::new();
        for (partition, of) in &by_partition {
            all.extend(of.chunks(MOST_GATES).map(|gates| (*partition, gates)));
        }
        for (partition, gates) in all {
            let mut args = Args::default();
            args.number(gates.len());
            for gate in gates {
                let value = carried(gate.change);
                let epoch = gate.epoch.map(|epoch| epoch.to_string());
                args.text(&gate.endpoint_id)
                    .text(gate.change.as_str())
                    .text(&value);
                args.text(&epoch.unwrap_or_default());
            }
            let script = Script::SetGates;
            let mut changed = self.connection.run(partition, script, &now, &args).await?;
            if !changed.is_over() {
                drop(changed.text()?);
                self.announce_changes(partition).await?;
            }
        }
        Ok(())
    }
}

/// What the script of endpoints tells of a gate.
pub(crate) fn gate(fields: &mut Reply) -> Result<GateState> {
    let mut gate = GateState::default();
    gate.paused = fields.text()? == "1";
    gate.disabled = match fields.text()?.as_str() {
        "" => None,
        name => Some(named(name)?),
    };
    gate.held_until = fields.optional()?.map(Timestamp::from_millis);
    gate.max_leased = fields.optional()?;
    gate.failing_since = fields.optional()?.map(Timestamp::from_millis);
    gate.epoch = fields.optional()?.unwrap_or(0);
    Ok(gate)
}

/// What a change carries, as the script takes it.
fn carried(change: GateChange) -> String {
    let at = |time: Timestamp| time.as_millis().to_string();
    match change {
        GateChange::Pause
        | GateChange::Resume
        | GateChange::Enable
        | GateChange::Reset
        | GateChange::Recovered => String::new(),
        GateChange::Disable(by) => by.to_string(),
        GateChange::Hold { until } => at(until),
        GateChange::LimitLeased(most) => most.map_or(String::new(), |n| n.to_string()),
        GateChange::FailingSince(since) => at(since),
    }
}

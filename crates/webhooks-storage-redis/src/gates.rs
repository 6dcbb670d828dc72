//! What lets deliveries of endpoints through.

use std::collections::HashMap;

use webhooks_core::storage::{DisabledBy, EndpointGate, GateChange, GateState};
use webhooks_core::{Result, Timestamp};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, malformed};
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
                let (change, value) = written(gate.change);
                let epoch = gate.epoch.map(|epoch| epoch.to_string());
                args.text(&gate.endpoint_id).text(change).text(&value);
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
    Ok(GateState {
        paused: fields.text()? == "1",
        disabled: match fields.text()?.as_str() {
            "" => None,
            "operator" => Some(DisabledBy::Operator),
            "gone" => Some(DisabledBy::Gone),
            "failing" => Some(DisabledBy::Failing),
            "unverified" => Some(DisabledBy::Unverified),
            _ => return Err(malformed("names an unknown reason of a disabled endpoint")),
        },
        held_until: fields.optional()?.map(Timestamp::from_millis),
        max_leased: fields.optional()?,
        failing_since: fields.optional()?.map(Timestamp::from_millis),
        epoch: fields.optional()?.unwrap_or(0),
    })
}

/// A change as the script takes it: its name and its value.
fn written(change: GateChange) -> (&'static str, String) {
    let at = |time: Timestamp| time.as_millis().to_string();
    match change {
        GateChange::Pause => ("pause", String::new()),
        GateChange::Resume => ("resume", String::new()),
        GateChange::Enable => ("enable", String::new()),
        GateChange::Reset => ("reset", String::new()),
        GateChange::Recovered => ("recovered", String::new()),
        GateChange::Disable(DisabledBy::Operator) => ("disable", "operator".into()),
        GateChange::Disable(DisabledBy::Gone) => ("disable", "gone".into()),
        GateChange::Disable(DisabledBy::Failing) => ("disable", "failing".into()),
        GateChange::Disable(DisabledBy::Unverified) => ("disable", "unverified".into()),
        GateChange::Hold { until } => ("hold", at(until)),
        GateChange::LimitLeased(most) => ("limit", most.map_or(String::new(), |n| n.to_string())),
        GateChange::FailingSince(since) => ("failing", at(since)),
    }
}

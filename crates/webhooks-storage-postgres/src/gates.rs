//! What lets deliveries of endpoints through. Changes are made one after the other under the lock
//! of the revision: each sees what the one before has made, and who reads by revision misses none.

use std::time::SystemTime;

use futures_util::future::{try_join, try_join_all};
use tokio_postgres::types::ToSql;
use webhooks_core::Result;
use webhooks_core::storage::spi::{EndpointGate, GateChange};

use crate::columns::{int, time};
use crate::database::Database;
use crate::definition_change::LOCK_REVISION;
use crate::error::{commit_error, storage_error};

const CHANGE: &str = include_str!("sql/change_gate.sql");

/// A change as the statement takes it.
struct Parameters<'a> {
    endpoint_id: &'a str,
    kind: &'static str,
    at: Option<SystemTime>,
    number: Option<i32>,
    by: Option<&'static str>,
    epoch: Option<i64>,
}

impl Database {
    /// Changes gates one after the other, in one transaction and one round trip.
    pub(crate) async fn set_gates(&self, gates: &[EndpointGate]) -> Result<()> {
        if gates.is_empty() {
            return Ok(());
        }
        self.repeat(|| self.set_gates_once(gates)).await
    }

    async fn set_gates_once(&self, gates: &[EndpointGate]) -> Result<()> {
        const WHAT: &str = "change gates";
        let mut connection = self.connection().await?;
        let lock = self.prepare(&connection, WHAT, LOCK_REVISION).await?;
        let change = self.prepare(&connection, WHAT, CHANGE).await?;
        let error = |error| storage_error(WHAT, &error);
        let parameters: Vec<_> = gates.iter().map(parameters).collect();
        let rows: Vec<[&(dyn ToSql + Sync); 6]> = parameters
            .iter()
            .map(|p| -> [&(dyn ToSql + Sync); 6] {
                [&p.endpoint_id, &p.kind, &p.at, &p.number, &p.by, &p.epoch]
            })
            .collect();
        let transaction = self.begin(&mut connection, WHAT).await?;
        let changes = rows.iter().map(|row| transaction.execute(&change, row));
        try_join(transaction.query(&lock, &[]), try_join_all(changes))
            .await
            .map_err(error)?;
        let committed = transaction.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))
    }
}

fn parameters(gate: &EndpointGate) -> Parameters<'_> {
    let mut parameters = Parameters {
        endpoint_id: &gate.endpoint_id,
        kind: gate.change.as_str(),
        at: None,
        number: None,
        by: None,
        epoch: gate
            .epoch
            .map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX)),
    };
    match gate.change {
        GateChange::Disable(by) => parameters.by = Some(by.as_str()),
        GateChange::Hold { until } => parameters.at = Some(time(until)),
        GateChange::LimitLeased(most) => parameters.number = most.map(int),
        GateChange::FailingSince(at) => parameters.at = Some(time(at)),
        GateChange::Pause
        | GateChange::Resume
        | GateChange::Enable
        | GateChange::Reset
        | GateChange::Recovered => {}
    }
    parameters
}

/// Whether work that waited may go after these changes.
pub(crate) fn open_something(gates: &[EndpointGate]) -> bool {
    gates.iter().any(|gate| {
        matches!(
            gate.change,
            GateChange::Resume
                | GateChange::Enable
                | GateChange::Reset
                | GateChange::LimitLeased(_)
        )
    })
}

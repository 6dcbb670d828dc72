//! How endpoints are.
//!
//! # Definitions
//! The first line that holds decides:
//!
//! 1. `failing`: the storage notes a series of failures that began 5 minutes ago or earlier, or the
//!    circuit in this process is open or half open.
//! 2. `degraded`: of the attempts of the last hour, more than one in 20 failed.
//! 3. `idle`: there was no attempt, neither in the last hour nor in the last day.
//! 4. `healthy`: everything else.
//!
//! An attempt is one that was delivered or that failed. The sums come from the statistics, minute by
//! minute for the hour and hour by hour for the day, so their borders are as coarse as that.
//!
//! The circuit belongs to a process. Two processes can thus give different answers for one endpoint, of
//! which `failing` is the one that knows more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::CircuitState;
use better_auth_webhooks::storage::{EndpointRecord, StatNumbers, StatQuery, StatResolution};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webhooks_core::Timestamp;

use super::operations::Ops;
use crate::problem::Problem;

/// How long every attempt must have failed for an endpoint to be failing.
const FAILING_AFTER: Duration = Duration::from_secs(5 * 60);
/// One attempt in so many may fail within the hour.
const ONE_IN: u64 = 20;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndpointHealth {
    /// It takes what it gets.
    Healthy,
    /// More than 5 % of the attempts of the last hour have failed.
    Degraded,
    /// Every attempt of the last 5 minutes has failed, or the circuit of the process that answers is
    /// not closed.
    Failing,
    /// There was no attempt for 24 hours.
    Idle,
}

impl Ops {
    /// How each of these endpoints is, which the caller has seen.
    pub(super) async fn health_of(
        &self,
        records: &[Arc<EndpointRecord>],
    ) -> Result<Vec<EndpointHealth>, Problem> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.now()?;
        let day = self.sums(records, now, DAY, StatResolution::Hour).await?;
        let hour = self.sums(records, now, HOUR, StatResolution::Minute);
        let hour = hour.await?;
        let health = records.iter().map(|record| {
            let id = record.endpoint.id.as_str();
            let failing_since = record.gate.failing_since;
            let is_failing = failing_since.is_some_and(|at| now.since(at) >= FAILING_AFTER);
            if is_failing || self.system.circuit(id)? != CircuitState::Closed {
                return Ok(EndpointHealth::Failing);
            }
            let attempts = |of: &StatNumbers| of.delivered + of.failed;
            let often_fails = |of: &StatNumbers| of.failed * ONE_IN > attempts(of);
            Ok(match (hour.get(id), day.get(id).map_or(0, attempts)) {
                (Some(of_hour), _) if often_fails(of_hour) => EndpointHealth::Degraded,
                (None, 0) => EndpointHealth::Idle,
                _ => EndpointHealth::Healthy,
            })
        });
        health.collect()
    }

    /// What happened at each of these endpoints within that time.
    async fn sums(
        &self,
        records: &[Arc<EndpointRecord>],
        now: Timestamp,
        within: Duration,
        resolution: StatResolution,
    ) -> Result<HashMap<Arc<str>, StatNumbers>, Problem> {
        let ids = records.iter().map(|of| of.endpoint.id.as_str().into());
        let query = StatQuery {
            endpoint_ids: Some(ids.collect()),
            from: now.before(within),
            to: now.after(resolution.length()),
            resolution,
            per_endpoint: true,
        };
        let mut sums = HashMap::<Arc<str>, StatNumbers>::new();
        for bucket in self.system.stats(&query).await? {
            if let Some(id) = bucket.endpoint_id {
                sums.entry(id).or_default().add(&bucket.numbers);
            }
        }
        Ok(sums)
    }
}

//! Numbers, and what the system is.

use better_auth_webhooks::storage::{StatBucket, StatQuery, WorkerRecord};
use better_auth_webhooks::{Health, Metrics};
use webhooks_core::Timestamp;

use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// What the system is.
#[derive(Debug)]
pub(crate) struct Info {
    /// Whether there can be keys, event types, jobs and an audit log.
    pub(crate) keeps_documents: bool,
    pub(crate) max_body_bytes: usize,
    pub(crate) now: Timestamp,
}

impl Ops {
    /// What the system is.
    pub(crate) fn info(&self, caller: &Caller) -> Result<Info, Problem> {
        caller.needs(Scope::MetricsRead)?;
        Ok(Info {
            keeps_documents: self.audit.are_kept(),
            max_body_bytes: self.max_body_bytes()?,
            now: self.now()?,
        })
    }

    /// Bytes of the envelope of one event at most.
    pub(crate) fn max_body_bytes(&self) -> Result<usize, Problem> {
        Ok(self.system.settings()?.max_body_bytes)
    }

    /// The numbers of the whole system, and since when the oldest ready delivery waits.
    pub(crate) async fn metrics(
        &self,
        caller: &Caller,
    ) -> Result<(Metrics, Option<Timestamp>), Problem> {
        self.may_see_numbers(caller)?;
        Ok((
            self.system.get_metrics().await?,
            self.system.oldest_ready().await?,
        ))
    }

    /// The whole system for a scrape.
    #[cfg(feature = "telemetry")]
    pub(crate) async fn snapshot(
        &self,
        caller: &Caller,
    ) -> Result<webhooks_core::Snapshot, Problem> {
        self.may_see_numbers(caller)?;
        Ok(self.system.snapshot().await?)
    }

    /// Refuses who may not see the numbers of the whole system.
    pub(super) fn may_see_numbers(&self, caller: &Caller) -> Result<(), Problem> {
        caller.needs(Scope::MetricsRead)?;
        match caller.tenant {
            None => Ok(()),
            Some(_) => Err(Problem::not_found(
                "the numbers of the whole system are its operator's",
            )),
        }
    }

    /// The processes that deliver, by id.
    pub(crate) async fn workers(&self, caller: &Caller) -> Result<Vec<WorkerRecord>, Problem> {
        caller.needs(Scope::MetricsRead)?;
        if caller.tenant.is_some() {
            return Err(Problem::not_found("the workers are the operator's"));
        }
        Ok(self.system.workers().await?)
    }

    /// Numbers over time, of endpoints that the caller may see.
    pub(crate) async fn stats(
        &self,
        caller: &Caller,
        mut query: StatQuery,
    ) -> Result<Vec<StatBucket>, Problem> {
        caller.needs(Scope::MetricsRead)?;
        let mut of = better_auth_webhooks::storage::DeliveryQuery {
            endpoint_ids: query.endpoint_ids.take(),
            ..Default::default()
        };
        self.narrow(caller, &mut of).await?;
        query.endpoint_ids = of.endpoint_ids;
        Ok(self.system.stats(&query).await?)
    }

    /// Whether this process can take and deliver events.
    pub(crate) async fn health(&self) -> Health {
        self.system.health().await
    }
}

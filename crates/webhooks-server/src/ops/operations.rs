//! What operations have in common: the system, and what a caller may see of it.

use std::sync::Arc;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::{DeliveryQuery, EndpointRecord, MAX_PAGE};
use webhooks_core::{Timestamp, WebhookError};

use super::event_types::EventTypes;
use super::job_runner::JobRunner;
use super::shared::Shared;
use crate::access::{ApiKeys, Caller, Limits, TenantTokens};
use crate::documents::Documents;
use crate::maintenance::Maintenance;
use crate::problem::Problem;

/// What can be done with a system.
#[derive(Clone, Debug)]
pub(crate) struct Ops {
    pub(super) system: WebhookSystem,
    pub(super) keys: Arc<ApiKeys>,
    pub(super) tokens: Arc<TenantTokens>,
    pub(super) limits: Arc<Limits>,
    pub(super) audit: Documents,
    pub(super) event_types: Arc<EventTypes>,
    pub(super) runner: Arc<JobRunner>,
    pub(super) shared: Arc<Shared>,
    pub(super) maintenance: Arc<dyn Maintenance>,
    /// Whether secrets can be read again.
    pub(super) reveals_secrets: bool,
}

/// What operations are made of.
#[derive(Debug)]
pub(crate) struct OpsParts {
    pub(crate) system: WebhookSystem,
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) tokens: Arc<TenantTokens>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) runner: Arc<JobRunner>,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) reveals_secrets: bool,
}

impl Ops {
    pub(crate) fn new(parts: OpsParts) -> Self {
        let documents = |kind| Documents::new(parts.system.clone(), kind);
        Self {
            audit: documents("audit"),
            event_types: Arc::new(EventTypes::new(documents("event_type"))),
            system: parts.system,
            keys: parts.keys,
            tokens: parts.tokens,
            limits: parts.limits,
            runner: parts.runner,
            shared: Arc::default(),
            maintenance: parts.maintenance,
            reveals_secrets: parts.reveals_secrets,
        }
    }

    /// The time, as the storage tells it.
    pub(crate) fn now(&self) -> Result<Timestamp, Problem> {
        Ok(self.system.now()?)
    }

    /// The endpoint with this id, if the caller may see it. That of another tenant is answered as one
    /// that there is not.
    pub(super) async fn seen_endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        let record = self.system.endpoint(endpoint_id).await?;
        if sees(caller, &record) {
            return Ok(record);
        }
        Err(WebhookError::EndpointNotFound(endpoint_id.into()).into())
    }

    /// Narrows a query to what the caller may see: deliveries to endpoints of their tenant.
    pub(super) async fn narrow(
        &self,
        caller: &Caller,
        query: &mut DeliveryQuery,
    ) -> Result<(), Problem> {
        if caller.tenant.is_none() {
            return Ok(());
        }
        let all = self.system.list_endpoints().await?;
        let own = all.iter().filter(|record| sees(caller, record));
        let mut own: Vec<Arc<str>> = own.map(|of| of.endpoint.id.as_str().into()).collect();
        if let Some(asked) = &query.endpoint_ids {
            own.retain(|id| asked.contains(id));
        }
        if own.len() > MAX_PAGE {
            let text = format!(
                "the tenant has {} endpoints: endpoint_id must name at most {MAX_PAGE} of them",
                own.len()
            );
            return Err(Problem::malformed(text));
        }
        query.endpoint_ids = Some(own);
        Ok(())
    }
}

/// Whether the endpoint is the caller's to see.
pub(super) fn sees(caller: &Caller, record: &EndpointRecord) -> bool {
    caller.tenant.is_none() || record.endpoint.tenant.as_deref() == caller.tenant.as_deref()
}

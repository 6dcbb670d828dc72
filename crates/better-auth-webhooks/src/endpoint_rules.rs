//! What the builder asks of endpoints, besides their definition.

use webhooks_core::storage::{DisabledBy, EndpointRecord};
use webhooks_core::{Result, WebhookEndpoint, WebhookError};
use webhooks_delivery::Pipeline;

/// What the builder asks of endpoints, besides their definition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndpointRules {
    pub(crate) require_verification: bool,
    pub(crate) max_per_tenant: Option<usize>,
}

impl EndpointRules {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.max_per_tenant == Some(0) {
            let text = "max_endpoints_per_tenant is 0, it needs 1 or more, or none";
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        Ok(())
    }

    /// Whether a stored endpoint has still to answer a challenge. One that is disabled and nobody
    /// has disabled it at run time was registered so, or its registration was cut off between its
    /// two steps: neither has been asked.
    pub(crate) fn is_unverified(&self, stored: &EndpointRecord) -> bool {
        match stored.gate.disabled {
            Some(by) => by == DisabledBy::Unverified,
            None => self.require_verification && !stored.endpoint.enabled,
        }
    }

    /// Refuses an endpoint that is one too many for its tenant, if it is new there.
    pub(crate) fn check_room(
        &self,
        pipeline: &Pipeline,
        endpoint: &WebhookEndpoint,
        stored: Option<&EndpointRecord>,
    ) -> Result<()> {
        let (Some(most), Some(tenant)) = (self.max_per_tenant, &endpoint.tenant) else {
            return Ok(());
        };
        let is_there = stored.is_some_and(|s| s.endpoint.tenant.as_ref() == Some(tenant));
        let have = pipeline.endpoints_of(tenant);
        if is_there || have < most {
            return Ok(());
        }
        let text = format!("tenant {tenant:?} has {have} endpoints, at most {most}");
        Err(WebhookError::InvalidEndpoint(text.into()))
    }
}

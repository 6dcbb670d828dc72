//! Tenants, as their endpoints name them.
//!
//! There is no document for a tenant: it exists as long as an endpoint names it. A token can therefore be
//! made for a tenant that has no endpoint yet, whose pages then make the first one.
//!
//! The list is read from all endpoints on each request; the counts are read for the tenants of one page
//! alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::MAX_PAGE;
use webhooks_core::Timestamp;

use super::audit::Action;
use super::operations::Ops;
use crate::access::{Caller, Scope, Scopes};
use crate::problem::Problem;

/// How long a token may last.
const TOKEN_LASTS: std::ops::RangeInclusive<u64> = 1..=3_600;

/// A tenant that has endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    /// How many endpoints it has.
    pub(crate) endpoints: usize,
    /// How many of their deliveries wait.
    pub(crate) waiting: u64,
    /// How many have arrived.
    pub(crate) delivered: u64,
    /// How many were given up, and neither replayed nor dropped since.
    pub(crate) dead: u64,
}

/// A token that was just made: shown once.
#[derive(Debug)]
pub(crate) struct ShownToken {
    pub(crate) text: String,
    pub(crate) expires_at: Timestamp,
}

impl Ops {
    /// Tenants by name, behind `after`: one more than `limit` if there are more.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `endpoints:read`; 404 `not-found` for a tenant's caller, to whom other
    /// tenants do not exist.
    pub(crate) async fn tenants(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tenant>, Problem> {
        caller.needs(Scope::EndpointsRead)?;
        only_operators(caller)?;
        let mut of_tenants = BTreeMap::<String, Vec<Arc<str>>>::new();
        for record in self.system.list_endpoints().await? {
            let Some(tenant) = &record.endpoint.tenant else {
                continue;
            };
            if after.is_none_or(|after| tenant.as_str() > after) {
                let ids = of_tenants.entry(tenant.clone()).or_default();
                ids.push(record.endpoint.id.as_str().into());
            }
        }
        let mut tenants = Vec::new();
        for (name, ids) in of_tenants.into_iter().take(limit + 1) {
            let mut tenant = Tenant {
                name,
                endpoints: ids.len(),
                waiting: 0,
                delivered: 0,
                dead: 0,
            };
            for ids in ids.chunks(MAX_PAGE) {
                for of in self.system.counts_of(ids).await? {
                    tenant.waiting += of.waiting();
                    tenant.delivered += of.delivered;
                    tenant.dead += of.dead;
                }
            }
            tenants.push(tenant);
        }
        Ok(tenants)
    }

    /// Makes a token for a service's own pages, with no scope that the caller lacks.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `portal:issue`; 404 `not-found` for a tenant's caller or a name that no
    /// tenant can have; 422 `invalid-token` for a time out of 1 to 3,600 seconds, or a scope that the caller
    /// lacks or a tenant cannot have.
    pub(crate) async fn issue_token(
        &self,
        caller: &Caller,
        tenant: &str,
        scopes: Scopes,
        lasts: u64,
    ) -> Result<ShownToken, Problem> {
        caller.needs(Scope::PortalIssue)?;
        only_operators(caller)?;
        check_tenant(tenant)?;
        if !TOKEN_LASTS.contains(&lasts) {
            let text = format!(
                "expires_in_seconds is {lasts}, it needs {} to {}",
                TOKEN_LASTS.start(),
                TOKEN_LASTS.end()
            );
            return Err(Problem::invalid("invalid-token", text).at("/expires_in_seconds"));
        }
        let can_have = caller.scopes.and(Scopes::of_tenants());
        if !scopes.are_among(can_have) {
            let text = format!("scopes may have at most {can_have:?}");
            return Err(Problem::invalid("invalid-token", text).at("/scopes"));
        }
        self.note(caller, Action::TokenIssue, tenant, Vec::new())
            .await?;
        let lasts = Duration::from_secs(lasts);
        let (text, token) = self.tokens.issue(tenant, scopes, lasts).await?;
        Ok(ShownToken {
            text,
            expires_at: token.expires_at,
        })
    }

    /// Ends all tokens that a tenant was given.
    ///
    /// # Errors
    ///
    /// 403 and 404 as [`issue_token`](Self::issue_token); 409 `wrong-state` if others revoke the same tenant
    /// all the time, which eight tries did not win against.
    pub(crate) async fn revoke_tenant(&self, caller: &Caller, tenant: &str) -> Result<(), Problem> {
        caller.needs(Scope::PortalIssue)?;
        only_operators(caller)?;
        check_tenant(tenant)?;
        self.note(caller, Action::TenantRevoke, tenant, Vec::new())
            .await?;
        self.tokens.revoke(tenant).await
    }
}

/// What is not of one tenant alone is answered to those of tenants as what there is not.
fn only_operators(caller: &Caller) -> Result<(), Problem> {
    match caller.tenant {
        None => Ok(()),
        Some(_) => Err(Problem::not_found("tenants are the operator's")),
    }
}

/// Refuses a name that no endpoint can have.
fn check_tenant(tenant: &str) -> Result<(), Problem> {
    if (1..=256).contains(&tenant.len()) && !tenant.chars().any(char::is_control) {
        return Ok(());
    }
    let text = "a tenant has a name of 1 to 256 bytes without control characters";
    Err(Problem::not_found(text))
}

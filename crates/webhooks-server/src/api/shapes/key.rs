//! API keys as callers give and see them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webhooks_core::Timestamp;

use crate::access::{ApiKey, KeyTerms, Role, Scope, Scopes};
use crate::documents::Kept;
use crate::ops::{KeyChange, ShownKey, time};
use crate::problem::Problem;

/// A key that is to be made. It has the scopes of a role, or those that are named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct KeyRequest {
    /// What people call it, 1 to 256 bytes.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Scopes that go together.
    role: Option<Role>,
    /// What it may do.
    scopes: Option<Vec<Scope>>,
    /// The tenant whose things alone it opens.
    tenant: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Networks from which alone it is taken; none means any. At most 32.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["10.0.0.0/8"]))]
    allowed_cidrs: Vec<IpNet>,
}

/// What changes of a key; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct KeyPatch {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    name: Option<String>,
    /// What it may do.
    scopes: Option<Vec<Scope>>,
    /// When it ends; null for never.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
}

/// Tells null from what is left out.
fn some<'de, D>(from: D) -> Result<Option<Option<String>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    Option::deserialize(from).map(Some)
}

/// A key, without itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(in crate::api) struct KeyView {
    /// Identifies the key; it stands in its text.
    id: String,
    /// What people call it.
    name: String,
    /// What it may do.
    scopes: Vec<Scope>,
    /// The tenant whose things alone it opens.
    tenant: Option<String>,
    /// When it was made.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// When it ends.
    expires_at: Option<String>,
    /// Networks from which alone it is taken.
    allowed_cidrs: Vec<String>,
    /// To the minute.
    last_used_at: Option<String>,
}

/// A key that was just made. It is shown in this answer alone.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NewKey {
    /// Identifies the key; it stands in its text.
    id: String,
    /// Its text, for `Authorization: Bearer`.
    key: String,
}

impl KeyRequest {
    pub(in crate::api) fn into_terms(self) -> Result<KeyTerms, Problem> {
        let scopes = match (self.role, self.scopes) {
            (Some(role), None) => role.scopes(),
            (None, Some(scopes)) => Scopes::from(scopes),
            _ => {
                let detail = "a key needs a role or scopes, and not both";
                return Err(Problem::invalid("invalid-key", detail).at("/scopes"));
            }
        };
        // What is more than a tenant can have is left out of a role, and refused of a list.
        let scopes = match (&self.tenant, self.role) {
            (Some(_), Some(_)) => scopes.and(Scopes::of_tenants()),
            _ => scopes,
        };
        Ok(KeyTerms {
            name: self.name,
            scopes,
            tenant: self.tenant.map(Into::into),
            expires_at: self
                .expires_at
                .map(|at| time(&at, "expires_at"))
                .transpose()?,
            allowed_cidrs: self.allowed_cidrs,
        })
    }
}

impl KeyPatch {
    pub(in crate::api) fn into_change(self) -> Result<KeyChange, Problem> {
        let read = |at: Option<String>| at.map(|at| time(&at, "expires_at")).transpose();
        Ok(KeyChange {
            name: self.name,
            scopes: self.scopes.map(Scopes::from),
            expires_at: self.expires_at.map(read).transpose()?,
        })
    }
}

impl From<&Kept<ApiKey>> for KeyView {
    fn from(kept: &Kept<ApiKey>) -> Self {
        let key = &kept.value;
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: kept.id.clone(),
            name: key.name.clone(),
            scopes: key.scopes.into(),
            tenant: key.tenant.as_deref().map(str::to_owned),
            created_at: key.created_at.to_string(),
            created_by: key.created_by.to_string(),
            expires_at: text(key.expires_at),
            allowed_cidrs: key.allowed_cidrs.iter().map(ToString::to_string).collect(),
            last_used_at: text(key.last_used_at),
        }
    }
}

impl From<ShownKey> for NewKey {
    fn from(shown: ShownKey) -> Self {
        Self {
            id: shown.id,
            key: shown.text,
        }
    }
}

//! Who calls, and what was done by whom.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::query::{Query, limit};
use super::shapes::PageView;
use super::state::Api;
use crate::access::{Caller, Scope};
use crate::ops::{Action, AuditEntry};
use crate::problem::{Problem, ProblemBody};

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// Who it is.
    actor: String,
    /// The tenant whose things alone they see.
    tenant: Option<String>,
    /// What they may do.
    scopes: Vec<Scope>,
    /// When that ends.
    expires_at: Option<String>,
}

/// Who you are, and what you may do.
#[utoipa::path(
    get, path = "/me", tag = "system",
    responses((status = OK, description = "The caller", body = Me), ProblemBody),
)]
pub(super) async fn me(caller: Caller) -> Json<Me> {
    Json(Me::from(&caller))
}

impl From<&Caller> for Me {
    fn from(caller: &Caller) -> Self {
        Self {
            actor: caller.actor.to_string(),
            tenant: caller.tenant.as_deref().map(str::to_owned),
            scopes: caller.scopes.into(),
            expires_at: caller.expires_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// Entries of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct AuditView {
    /// Identifies the entry.
    id: String,
    /// When it was done.
    at: String,
    /// Who it is.
    actor: String,
    /// `bearer`, `cookie` or `host`.
    via: String,
    /// What was done.
    action: Action,
    /// The id of what it was done to.
    resource: String,
    /// The tenant of the caller.
    tenant: Option<String>,
    /// Names of what was changed.
    fields: Vec<String>,
}

impl From<(String, AuditEntry)> for AuditView {
    fn from((id, entry): (String, AuditEntry)) -> Self {
        Self {
            id,
            at: entry.at.to_string(),
            actor: entry.actor,
            via: entry.via,
            action: entry.action,
            resource: entry.resource,
            tenant: entry.tenant,
            fields: entry.fields,
        }
    }
}

/// What was done, newest first; kept for 90 days. Needs `audit:read`.
#[utoipa::path(
    get, path = "/audit", tag = "admin", params(AuditParams),
    responses((status = OK, description = "A page", body = PageView<AuditView>), ProblemBody),
)]
pub(super) async fn audit(
    State(api): State<Api>,
    caller: Caller,
    query: Query<AuditParams>,
) -> Result<PageView<AuditView>, Problem> {
    let limit = limit(query.of.limit)?;
    let after = query.filter.read(query.of.cursor.as_deref())?;
    let after = after.map(|id| Uuid::parse_str(&id)).transpose();
    let after = after.map_err(|_| Problem::malformed("cursor is none that was given here"))?;
    let entries = api.ops.audit(&caller, after, limit).await?;
    let next = (entries.len() == limit).then(|| entries.last().map(|(id, _)| id.clone()));
    let items = entries.into_iter().map(AuditView::from).collect();
    Ok(PageView::new(
        items,
        &query.filter,
        next.flatten().as_deref(),
    ))
}

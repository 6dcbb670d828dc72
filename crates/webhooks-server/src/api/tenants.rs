//! Tenants, and what they are given.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::query::{Query, limit};
use super::shapes::PageView;
use super::state::Api;
use crate::access::{Caller, Scope, Scopes};
use crate::problem::{Problem, ProblemBody};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Tenants of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A tenant that has endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(super) struct TenantView {
    /// Its name, as endpoints have it.
    tenant: String,
    /// How many endpoints it has.
    endpoints: usize,
    /// How many of their deliveries wait.
    waiting: u64,
    /// How many have arrived.
    delivered: u64,
    /// How many were given up, and neither replayed nor dropped since.
    dead: u64,
}

/// Tenants that have endpoints, by name. Needs `endpoints:read`.
#[utoipa::path(
    get, path = "/tenants", tag = "tenants", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<TenantView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<TenantView>, Problem> {
    let limit = limit(query.of.limit)?;
    let after = query.filter.read(query.of.cursor.as_deref())?;
    let mut found = api.ops.tenants(&caller, after.as_deref(), limit).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|tenant| tenant.name.clone());
    let next = next.filter(|_| has_more);
    let items = found.into_iter().map(|tenant| TenantView {
        tenant: tenant.name,
        endpoints: tenant.endpoints,
        waiting: tenant.waiting,
        delivered: tenant.delivered,
        dead: tenant.dead,
    });
    Ok(PageView::new(
        items.collect(),
        &query.filter,
        next.as_deref(),
    ))
}

/// What a token opens, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// What it may do: scopes that a tenant can have, and the caller has.
    scopes: Vec<Scope>,
    /// 1 to 3,600.
    #[serde(default = "an_hour")]
    #[schema(minimum = 1, maximum = 3600)]
    expires_in_seconds: u64,
}

const fn an_hour() -> u64 {
    3_600
}

/// A token. It is shown in this answer alone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewToken {
    /// Its text, for `Authorization: Bearer`.
    token: String,
    /// When it ends.
    expires_at: String,
}

/// Makes a token with which the pages of a service call this API for one tenant. Nothing of it is kept.
/// Needs `portal:issue`.
#[utoipa::path(
    post, path = "/tenants/{tenant}/tokens", tag = "tenants", request_body = TokenRequest,
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = CREATED, description = "The token", body = NewToken), ProblemBody),
)]
pub(super) async fn issue_token(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    Body(request): Body<TokenRequest>,
) -> Result<Response, Problem> {
    let scopes = Scopes::from(request.scopes);
    let token = api
        .ops
        .issue_token(&caller, &tenant, scopes, request.expires_in_seconds);
    let token = token.await?;
    let token = NewToken {
        token: token.text,
        expires_at: token.expires_at.to_string(),
    };
    Ok((StatusCode::CREATED, Json(token)).into_response())
}

/// Ends all tokens that a tenant was given; other processes take them for 5 more seconds at most. Its API
/// keys go on. Needs `portal:issue`.
#[utoipa::path(
    post, path = "/tenants/{tenant}/revoke", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant")),
    responses((status = NO_CONTENT, description = "Ended"), ProblemBody),
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
) -> Result<StatusCode, Problem> {
    api.ops.revoke_tenant(&caller, &tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Endpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::storage::{EndpointRecord, Expected};
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use webhooks_core::{Secret, generate_secret};

use super::body::{Body, Patch};
use super::precondition::{Precondition, etag, is_known};
use super::query::{Query, limit};
use super::shapes::{EndpointDefinition, EndpointView, PageView};
use super::state::Api;
use crate::access::{Caller, Scope};
use crate::ops::{EndpointFilter, EndpointHealth, GateState};
use crate::problem::{Problem, ProblemBody};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Endpoints of this tenant.
    tenant: Option<String>,
    /// Endpoints that take events of this type.
    event_type: Option<String>,
    /// Endpoints with this in their id, their description or the host of their URL.
    q: Option<String>,
    /// Endpoints whose gate is so.
    #[param(inline)]
    state: Option<GateState>,
    /// Endpoints that are so.
    #[param(inline)]
    health: Option<EndpointHealth>,
    /// What comes with each; may be repeated.
    #[serde(default)]
    #[param(inline)]
    include: Vec<Include>,
    /// Endpoints of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What comes with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    Counts,
    Health,
}

/// Endpoints, by id. Needs `endpoints:read`.
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<EndpointView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<EndpointView>, Problem> {
    let of = query.of;
    let (limit, after) = (limit(of.limit)?, query.filter.read(of.cursor.as_deref())?);
    let filter = EndpointFilter {
        tenant: of.tenant,
        event_type: of.event_type,
        text: of.q,
        state: of.state,
        health: of.health,
    };
    let with_health = of.include.contains(&Include::Health);
    let found = api
        .ops
        .endpoints(&caller, &filter, with_health, after.as_deref(), limit)
        .await?;
    let ids = found.records.iter();
    let ids: Vec<Arc<str>> = ids.map(|of| of.endpoint.id.as_str().into()).collect();
    let counts = match of.include.contains(&Include::Counts) {
        true => api.ops.counts_of(&caller, &ids).await?,
        false => Vec::new(),
    };
    let now = api.ops.now()?;
    let (mut counts, mut health) = (counts.into_iter(), found.health.into_iter());
    let items = found.records.iter().map(|record| {
        EndpointView::new(&caller, record, now)
            .with_counts(counts.next())
            .with_health(health.next())
    });
    let items = items.collect();
    Ok(PageView::new(items, &query.filter, found.next.as_deref()))
}

/// Registers an endpoint. A secret that is left out is made here, and shown in this answer alone.
/// Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", request_body = EndpointDefinition,
    responses((status = CREATED, description = "The endpoint", body = EndpointView), ProblemBody),
)]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(body): Body<Value>,
) -> Result<Response, Problem> {
    caller.needs(Scope::EndpointsWrite)?;
    let mut definition = EndpointDefinition::read(body)?;
    let id = definition.id.take();
    let id = id.unwrap_or_else(|| format!("ep_{}", Uuid::now_v7().simple()));
    let secret = generated(&definition)?;
    let shown = secret.as_ref().map(Secret::expose);
    let endpoint = definition.into_endpoint(&id, shown, None)?;
    let record = api.ops.create_endpoint(&caller, endpoint).await?;
    created(&api, &caller, &record, shown, &id)
}

/// A secret, if the definition has none.
fn generated(definition: &EndpointDefinition) -> Result<Option<Secret>, Problem> {
    let secret = (!definition.has_secret()).then(generate_secret);
    Ok(secret.transpose()?.map(Secret::from))
}

/// The answer to what has made an endpoint.
fn created(
    api: &Api,
    caller: &Caller,
    record: &EndpointRecord,
    secret: Option<&str>,
    location: &str,
) -> Result<Response, Problem> {
    let view = EndpointView::new(caller, record, api.ops.now()?).with_secret(secret);
    let location: String = url::form_urlencoded::byte_serialize(location.as_bytes()).collect();
    let location = format!("endpoints/{}", location.replace('+', "%20"));
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static(""));
    let headers = [
        (LOCATION, location),
        (ETAG, etag(record.definition_revision)),
    ];
    Ok((StatusCode::CREATED, headers, Json(view)).into_response())
}

/// The answer with an endpoint as it is now.
pub(super) fn answer(
    api: &Api,
    caller: &Caller,
    record: &EndpointRecord,
) -> Result<Response, Problem> {
    let view = EndpointView::new(caller, record, api.ops.now()?);
    Ok(([(ETAG, etag(record.definition_revision))], Json(view)).into_response())
}

/// One endpoint. Needs `endpoints:read`.
#[utoipa::path(
    get, path = "/endpoints/{id}", tag = "endpoints",
    params(
        ("id" = String, Path, description = "The id of the endpoint"), ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the caller has")),
    responses(
        (status = OK, description = "The endpoint", body = EndpointView),
        (status = NOT_MODIFIED, description = "The caller has it"),
        ProblemBody,
    ),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = api.ops.endpoint(&caller, &id).await?;
    if is_known(&headers, record.definition_revision) {
        let tag = [(ETAG, etag(record.definition_revision))];
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let health = api.ops.endpoint_health(&caller, &record).await?;
    let view = EndpointView::new(&caller, &record, api.ops.now()?).with_health(health);
    Ok(([(ETAG, etag(record.definition_revision))], Json(view)).into_response())
}

/// Saves a whole definition: over that of the `If-Match`, or a new one with `If-None-Match: *`. Needs
/// `endpoints:write`.
#[utoipa::path(
    put, path = "/endpoints/{id}", tag = "endpoints", request_body = EndpointDefinition,
    params(
        ("id" = String, Path, description = "The id of the endpoint"), 
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what is replaced, or `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for an endpoint that there is not"),
    ),
    responses(
        (status = OK, description = "The endpoint", body = EndpointView),
        (status = CREATED, description = "The endpoint, which is new", body = EndpointView),
        ProblemBody,
    ),
)]
pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Precondition(expected): Precondition,
    Body(body): Body<Value>,
) -> Result<Response, Problem> {
    caller.needs(Scope::EndpointsWrite)?;
    let definition = EndpointDefinition::read(body)?;
    if definition.id.as_ref().is_some_and(|told| *told != id) {
        let detail = "id is another than that of the path";
        return Err(Problem::invalid("invalid-endpoint", detail).at("/id"));
    }
    if expected == Expected::Absent {
        let secret = generated(&definition)?;
        let shown = secret.as_ref().map(Secret::expose);
        let endpoint = definition.into_endpoint(&id, shown, None)?;
        let record = api.ops.create_endpoint(&caller, endpoint).await?;
        return created(&api, &caller, &record, shown, "");
    }
    let stored = api.ops.stored_endpoint(&caller, &id).await?;
    let endpoint = definition.into_endpoint(&id, None, Some(&stored.endpoint))?;
    // What was kept is of the definition that was read, whatever the caller expects.
    let expected = at_revision(&stored, expected)?;
    let replaced = api
        .ops
        .replace_endpoint(&caller, endpoint, expected, Vec::new());
    answer(&api, &caller, &*replaced.await?)
}

/// Changes a definition by a merge patch (RFC 7396). Needs `endpoints:write`.
#[utoipa::path(
    patch, path = "/endpoints/{id}", tag = "endpoints",
    request_body(content = Object, content_type = "application/merge-patch+json"),
    params(
        ("id" = String, Path, description = "The id of the endpoint"), ("If-Match" = Option<String>, Header, description = "The `ETag` of what is changed, or `*`")),
    responses((status = OK, description = "The endpoint", body = EndpointView), ProblemBody),
)]
pub(super) async fn patch(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Precondition(expected): Precondition,
    Patch(patch): Patch,
) -> Result<Response, Problem> {
    caller.needs(Scope::EndpointsWrite)?;
    let stored = api.ops.stored_endpoint(&caller, &id).await?;
    let expected = at_revision(&stored, expected)?;
    let (definition, fields) = EndpointDefinition::patched(&stored.endpoint, patch)?;
    if definition.id.as_ref() != Some(&id) {
        let detail = "id cannot be changed";
        return Err(Problem::invalid("invalid-endpoint", detail).at("/id"));
    }
    let endpoint = definition.into_endpoint(&id, None, Some(&stored.endpoint))?;
    let replaced = api
        .ops
        .replace_endpoint(&caller, endpoint, expected, fields);
    answer(&api, &caller, &*replaced.await?)
}

/// That the definition is still the one that was read, if that is what the caller expects.
fn at_revision(stored: &EndpointRecord, expected: Expected) -> Result<Expected, Problem> {
    if expected.is_met_by(Some(stored.definition_revision)) {
        return Ok(Expected::Revision(stored.definition_revision));
    }
    let detail = "the endpoint was changed meanwhile";
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        detail,
    ))
}

/// Deletes an endpoint; what waits for it is cancelled. Needs `endpoints:write`.
#[utoipa::path(
    delete, path = "/endpoints/{id}", tag = "endpoints",
    params(
        ("id" = String, Path, description = "The id of the endpoint"), ("If-Match" = Option<String>, Header, description = "The `ETag` of what is deleted, or `*`")),
    responses((status = NO_CONTENT, description = "Deleted"), ProblemBody),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Precondition(expected): Precondition,
) -> Result<StatusCode, Problem> {
    api.ops.delete_endpoint(&caller, &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

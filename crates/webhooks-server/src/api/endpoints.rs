//! Endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::storage::{EndpointRecord, Expected};
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use webhooks_core::{FailureKind, Secret, generate_secret};

use super::body::{Body, OptionalBody, Patch};
use super::precondition::{Precondition, etag, is_known};
use super::query::{Query, limit};
use super::shapes::{
    AttemptsView, CountsView, EndpointDefinition, EndpointView, PageView, PreviousView,
    ResponseView, millis, told,
};
use super::state::Api;
use crate::access::{Caller, Scope};
use crate::ops::{EndpointFilter, EndpointTest, GateAction};
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
    /// What comes with each: `counts`.
    #[param(inline)]
    include: Option<Include>,
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
}

/// Endpoints, by id. Needs `endpoints:read`.
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<EndpointView>), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
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
    };
    let found = api
        .ops
        .endpoints(&caller, &filter, after.as_deref(), limit)
        .await?;
    let more = found.len() > limit;
    let found = found.get(..limit).unwrap_or(&found);
    let next = found
        .last()
        .filter(|_| more)
        .map(|record| record.endpoint.id.as_str());
    let ids: Vec<Arc<str>> = found
        .iter()
        .map(|of| of.endpoint.id.as_str().into())
        .collect();
    let counts = match of.include {
        Some(Include::Counts) => api.ops.counts_of(&caller, &ids).await?,
        None => Vec::new(),
    };
    let now = api.ops.now()?;
    let mut counts = counts.into_iter();
    let items = found.iter();
    let items = items
        .map(|record| EndpointView::new(&caller, record, now).with_counts(counts.next()))
        .collect();
    Ok(PageView::new(items, &query.filter, next))
}

/// Registers an endpoint. A secret that is left out is made here, and shown in this answer alone.
/// Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", request_body = EndpointDefinition,
    responses((status = CREATED, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
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
fn answer(api: &Api, caller: &Caller, record: &EndpointRecord) -> Result<Response, Problem> {
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
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
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
    answer(&api, &caller, &record)
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
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
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
    responses((status = OK, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
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
    responses((status = NO_CONTENT, description = "Deleted"), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
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

/// Lets deliveries of an endpoint wait. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/pause", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    gate(&api, &caller, &id, GateAction::Pause).await
}

/// Lets deliveries of a paused or held endpoint go on. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/resume", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    gate(&api, &caller, &id, GateAction::Resume).await
}

/// Enables an endpoint that was disabled. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/enable", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn enable(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    gate(&api, &caller, &id, GateAction::Enable).await
}

/// Disables an endpoint: new events make no deliveries for it. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/disable", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The endpoint", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn disable(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    gate(&api, &caller, &id, GateAction::Disable).await
}

/// Moves a gate, and answers how the endpoint is then.
async fn gate(api: &Api, caller: &Caller, id: &str, to: GateAction) -> Result<Response, Problem> {
    let record = api.ops.set_gate(caller, id, to).await?;
    answer(api, caller, &record)
}

/// Asks an endpoint whether it wants to be one. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/verify", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "It answered", body = EndpointView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn verify(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = api.ops.verify_endpoint(&caller, &id).await?;
    answer(&api, &caller, &record)
}

/// What is sent as a test.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestInput {
    /// Its type; `webhook.test` if it is left out.
    r#type: Option<String>,
    /// What it tells.
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
}

/// How a test came out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestView {
    /// The endpoint accepted it.
    delivered: bool,
    /// The status of the response, if one came.
    status: Option<u16>,
    /// Why it failed, if it did.
    #[schema(value_type = Option<String>)]
    failure: Option<FailureKind>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// What it answered, for who may see payloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseView>,
}

/// Sends an event to an endpoint at once. It is not stored, not tried again, and changes nothing of
/// what is known of the endpoint's health. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/test", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")), request_body = Option<TestInput>,
    responses((status = OK, description = "How it came out", body = TestView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn test(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalBody(input): OptionalBody<TestInput>,
) -> Result<Json<TestView>, Problem> {
    let test = EndpointTest {
        event_type: input.r#type,
        data: input.data,
    };
    let result = api.ops.test_endpoint(&caller, &id, test).await?;
    let sees = result.status.is_some() && caller.scopes.contains(Scope::PayloadsRead);
    let response = || ResponseView::new(&result.response, &result.response_headers);
    Ok(Json(TestView {
        delivered: result.is_delivered(),
        status: result.status,
        failure: told(&caller, result.failure()),
        duration_ms: millis(result.duration),
        response: sees.then(response),
    }))
}

/// How a secret is rotated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RotateInput {
    /// The new one; one is made here if it is left out.
    secret: Option<String>,
    /// For how long that of before signs, too; at most 604,800.
    #[schema(maximum = 604_800)]
    overlap_seconds: u64,
}

impl Default for RotateInput {
    fn default() -> Self {
        Self {
            secret: None,
            overlap_seconds: 86_400,
        }
    }
}

/// A secret that was rotated.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RotatedView {
    /// The new one, if it was made here. It is shown in this answer alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Those of before, which still sign.
    previous: Vec<PreviousView>,
}

/// Gives an endpoint another secret; that of before signs for a while, too. Needs
/// `endpoints:secrets`.
#[utoipa::path(
    post, path = "/endpoints/{id}/secret/rotate", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")), request_body = Option<RotateInput>,
    responses((status = OK, description = "Rotated", body = RotatedView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn rotate_secret(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalBody(input): OptionalBody<RotateInput>,
) -> Result<Json<RotatedView>, Problem> {
    let overlap = Duration::from_secs(input.overlap_seconds);
    let secret = input.secret.map(Secret::from);
    let rotated = api.ops.rotate_secret(&caller, &id, secret, overlap).await?;
    let previous = rotated.previous.iter().map(|of| PreviousView {
        expires_at: of.expires_at.to_string(),
    });
    Ok(Json(RotatedView {
        secret: rotated.generated.map(|secret| secret.expose().to_owned()),
        previous: previous.collect(),
    }))
}

/// One endpoint in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MetricsView {
    /// As the storage counts.
    counts: CountsView,
    /// Of the process that answers, since it started.
    process: AttemptsView,
    /// The circuit, as that process sees it: `closed`, `open` or `half_open`.
    circuit: String,
    /// Requests of that process that are on their way.
    in_flight: usize,
}

/// One endpoint in numbers. Needs `metrics:read`.
#[utoipa::path(
    get, path = "/endpoints/{id}/metrics", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The numbers", body = MetricsView), (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(super) async fn metrics(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MetricsView>, Problem> {
    let metrics = api.ops.endpoint_metrics(&caller, &id).await?;
    Ok(Json(MetricsView {
        counts: metrics.counts.into(),
        process: (&metrics.attempts).into(),
        circuit: metrics.circuit.state.to_string(),
        in_flight: metrics.in_flight,
    }))
}

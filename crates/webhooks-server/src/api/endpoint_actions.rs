//! What is done with an endpoint that is there.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use webhooks_core::{FailureKind, Secret};

use super::body::OptionalBody;
use super::endpoints::answer;
use super::shapes::{
    AttemptsView, CountsView, EndpointView, PreviousView, ResponseView, millis, told,
};
use super::state::Api;
use crate::access::{Caller, Scope};
use crate::ops::{EndpointTest, GateAction};
use crate::problem::{Problem, ProblemBody};

/// Lets deliveries of an endpoint wait. Needs `endpoints:write`.
#[utoipa::path(
    post, path = "/endpoints/{id}/pause", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The endpoint", body = EndpointView), ProblemBody),
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
    responses((status = OK, description = "The endpoint", body = EndpointView), ProblemBody),
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
    responses((status = OK, description = "The endpoint", body = EndpointView), ProblemBody),
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
    responses((status = OK, description = "The endpoint", body = EndpointView), ProblemBody),
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
    responses((status = OK, description = "It answered", body = EndpointView), ProblemBody),
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
    responses((status = OK, description = "How it came out", body = TestView), ProblemBody),
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
    responses((status = OK, description = "Rotated", body = RotatedView), ProblemBody),
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

/// The secret of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretView {
    /// What signs its requests.
    secret: String,
}

/// The secret of an endpoint, where the server reveals them at all, which it does not by default. Needs
/// `endpoints:secrets`; those of tenants are never revealed.
#[utoipa::path(
    get, path = "/endpoints/{id}/secret", tag = "endpoints", params(("id" = String, Path, description = "The id of the endpoint")),
    responses((status = OK, description = "The secret", body = SecretView), ProblemBody),
)]
pub(super) async fn secret(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SecretView>, Problem> {
    let secret = api.ops.reveal_secret(&caller, &id).await?;
    let secret = secret.expose().to_owned();
    Ok(Json(SecretView { secret }))
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
    responses((status = OK, description = "The numbers", body = MetricsView), ProblemBody),
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

//! API keys.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::body::{Body, OptionalBody, Patch, from_value};
use super::query::{Query, limit};
use super::shapes::{KeyPatch, KeyRequest, KeyView, NewKey, PageView};
use super::state::Api;
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Keys of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// API keys, by id. Needs `keys:admin`.
#[utoipa::path(
    get, path = "/api-keys", tag = "admin", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<KeyView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<KeyView>, Problem> {
    let limit = limit(query.of.limit)?;
    let after = query.filter.read(query.of.cursor.as_deref())?;
    let keys = api.ops.keys(&caller, after, limit).await?;
    let next = keys
        .last()
        .filter(|_| keys.len() == limit)
        .map(|key| key.id.as_str());
    let items = keys.iter().map(KeyView::from).collect();
    Ok(PageView::new(items, &query.filter, next))
}

/// Makes a key, which is shown in this answer alone. It has no scope that the caller lacks. Needs
/// `keys:admin`.
#[utoipa::path(
    post, path = "/api-keys", tag = "admin", request_body = KeyRequest,
    responses((status = CREATED, description = "The key", body = NewKey), ProblemBody),
)]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<KeyRequest>,
) -> Result<Response, Problem> {
    let key = api.ops.create_key(&caller, request.into_terms()?).await?;
    Ok((StatusCode::CREATED, Json(NewKey::from(key))).into_response())
}

/// One key. Needs `keys:admin`.
#[utoipa::path(
    get, path = "/api-keys/{id}", tag = "admin", params(("id" = String, Path, description = "The id of the key")),
    responses((status = OK, description = "The key", body = KeyView), ProblemBody),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let kept = api.ops.key(&caller, &id).await?;
    Ok(Json(KeyView::from(&kept)))
}

/// Changes a key. Needs `keys:admin`.
#[utoipa::path(
    patch, path = "/api-keys/{id}", tag = "admin", params(("id" = String, Path, description = "The id of the key")),
    request_body(content = KeyPatch, content_type = "application/merge-patch+json"),
    responses((status = OK, description = "The key", body = KeyView), ProblemBody),
)]
pub(super) async fn patch(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Patch(patch): Patch,
) -> Result<Json<KeyView>, Problem> {
    let change = from_value::<KeyPatch>(patch)?.into_change()?;
    let kept = api.ops.change_key(&caller, &id, change).await?;
    Ok(Json(KeyView::from(&kept)))
}

/// Ends a key. Other processes take it for 5 more seconds at most. Needs `keys:admin`.
#[utoipa::path(
    delete, path = "/api-keys/{id}", tag = "admin", params(("id" = String, Path, description = "The id of the key")),
    responses((status = NO_CONTENT, description = "Ended"), ProblemBody),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    api.ops.delete_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a key is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RotateKeyInput {
    /// For how long the key of before is taken, too; at most 604,800.
    #[schema(maximum = 604_800)]
    overlap_seconds: u64,
}

/// Gives a key another text, which is shown in this answer alone. Needs `keys:admin`.
#[utoipa::path(
    post, path = "/api-keys/{id}/rotate", tag = "admin", params(("id" = String, Path, description = "The id of the key")), request_body = Option<RotateKeyInput>,
    responses((status = OK, description = "The key", body = NewKey), ProblemBody),
)]
pub(super) async fn rotate(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalBody(input): OptionalBody<RotateKeyInput>,
) -> Result<Json<NewKey>, Problem> {
    let overlap = Duration::from_secs(input.overlap_seconds);
    let key = api.ops.rotate_key(&caller, &id, overlap).await?;
    Ok(Json(NewKey::from(key)))
}

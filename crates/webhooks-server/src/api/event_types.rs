//! The catalogue of event types.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, ETAG};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::body::Body;
use super::precondition::{Precondition, etag, is_known};
use super::query::{Query, limit};
use super::shapes::{EventTypeView, ImportView, PageView, definition};
use super::state::Api;
use crate::access::Caller;
use crate::documents::Kept;
use crate::ops::{EventTypeDefinition, EventTypeEntry, EventTypeFilter};
use crate::problem::{Problem, ProblemBody};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Types with this in their name, title or description.
    q: Option<String>,
    /// Types that are listed under this.
    group: Option<String>,
    /// Whether they are offered no more; those that are offered if it is left out.
    #[serde(default)]
    archived: bool,
    /// Types of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Event types of the catalogue, by name. Needs `event_types:read`.
#[utoipa::path(
    get, path = "/event-types", tag = "event types", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<EventTypeView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<EventTypeView>, Problem> {
    let of = query.of;
    let (limit, after) = (limit(of.limit)?, query.filter.read(of.cursor.as_deref())?);
    let filter = EventTypeFilter {
        text: of.q,
        group: of.group,
        archived: Some(of.archived),
    };
    let mut found = api.ops.event_types(&caller, &filter, after, limit).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|kept| kept.id.clone());
    let next = last.filter(|_| has_more);
    let is_tenant = caller.tenant.is_some();
    let items = found
        .into_iter()
        .map(|kept| EventTypeView::new(kept, is_tenant));
    Ok(PageView::new(
        items.collect(),
        &query.filter,
        next.as_deref(),
    ))
}

/// One event type. Needs `event_types:read`.
#[utoipa::path(
    get, path = "/event-types/{name}", tag = "event types",
    params(
        ("name" = String, Path, description = "The type"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the caller has"),
    ),
    responses(
        (status = OK, description = "The type", body = EventTypeView),
        (status = NOT_MODIFIED, description = "The caller has it"),
        ProblemBody,
    ),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kept = api.ops.event_type(&caller, &name).await?;
    if is_known(&headers, kept.revision) {
        let tag = [(ETAG, etag(kept.revision))];
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok(answer(StatusCode::OK, &caller, kept))
}

/// Defines an event type: over that of the `If-Match`, or a new one with `If-None-Match: *`. Needs
/// `event_types:write`.
#[utoipa::path(
    put, path = "/event-types/{name}", tag = "event types", request_body = EventTypeDefinition,
    params(
        ("name" = String, Path, description = "The type"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what is replaced, or `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for a type that there is not"),
    ),
    responses(
        (status = OK, description = "The type", body = EventTypeView),
        (status = CREATED, description = "The type, which is new", body = EventTypeView),
        ProblemBody,
    ),
)]
pub(super) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Precondition(expected): Precondition,
    Body(body): Body<Value>,
) -> Result<Response, Problem> {
    let definition = definition(body, &name)?;
    let put = api.ops.put_event_type(&caller, &name, definition, expected);
    let (is_new, kept) = put.await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok(answer(status, &caller, kept))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// Drops it from the catalogue, instead of keeping it as one that is not offered any more.
    #[serde(default)]
    purge: bool,
}

/// Offers an event type no more; or drops it. Events of it can still be sent. Needs
/// `event_types:write`.
#[utoipa::path(
    delete, path = "/event-types/{name}", tag = "event types",
    params(
        DeleteParams,
        ("name" = String, Path, description = "The type"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what is deleted, or `*`"),
    ),
    responses((status = NO_CONTENT, description = "Archived or dropped"), ProblemBody),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Precondition(expected): Precondition,
    query: Query<DeleteParams>,
) -> Result<StatusCode, Problem> {
    let deleted = api
        .ops
        .delete_event_type(&caller, &name, expected, query.of.purge);
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportParams {
    /// Tells what would change, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Takes event types out of an OpenAPI 3.1 document with `webhooks`, or out of JSON Schemas by the
/// names of types; at most 500. All of them are checked before any is kept. Of a type that is there,
/// what the document does not tell stays. Needs `event_types:write`.
#[utoipa::path(
    post, path = "/event-types/import", tag = "event types", params(ImportParams),
    request_body(content = Object, description = "The document", content_type = "application/json"),
    responses((status = OK, description = "What changed", body = ImportView), ProblemBody),
)]
pub(super) async fn import(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ImportParams>,
    Body(document): Body<Value>,
) -> Result<Json<ImportView>, Problem> {
    let import = api
        .ops
        .import_event_types(&caller, document, query.of.dry_run);
    Ok(Json(import.await?.into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportParams {
    /// Types that are listed under this.
    group: Option<String>,
}

/// The catalogue as an OpenAPI 3.1 document that describes the requests that endpoints get. Needs
/// `event_types:read`.
#[utoipa::path(
    get, path = "/event-types/export", tag = "event types", params(ExportParams),
    responses((status = OK, description = "The document", body = Object), ProblemBody),
)]
pub(super) async fn export(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ExportParams>,
) -> Result<Response, Problem> {
    let document = api.ops.export_event_types(&caller, query.of.group).await?;
    let attachment = "attachment; filename=\"event-types.json\"";
    Ok(([(CONTENT_DISPOSITION, attachment)], Json(document)).into_response())
}

/// The answer with a type as it is now.
fn answer(status: StatusCode, caller: &Caller, kept: Kept<EventTypeEntry>) -> Response {
    let tag = [(ETAG, etag(kept.revision))];
    let view = EventTypeView::new(kept, caller.tenant.is_some());
    (status, tag, Json(view)).into_response()
}

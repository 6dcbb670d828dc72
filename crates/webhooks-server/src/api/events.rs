//! Events that are stored.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::storage::EventQuery;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use webhooks_core::EventFilter;

use super::body::Body;
use super::query::{Query, limit};
use super::shapes::{DeliveryView, EventView, PageView};
use super::state::Api;
use crate::access::Caller;
use crate::ops::time;
use crate::problem::{Problem, ProblemBody};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Events of this type: exact, `prefix.*` or `*`.
    r#type: Option<String>,
    /// Events that were sent for this tenant.
    tenant: Option<String>,
    /// Events that were sent at this time or later.
    from: Option<String>,
    /// Events that were sent before this time.
    to: Option<String>,
    /// Events of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Events, newest first. Needs `events:read`.
#[utoipa::path(
    get, path = "/events", tag = "events", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<EventView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<EventView>, Problem> {
    let of = query.of;
    let before = query.filter.read(of.cursor.as_deref())?;
    let event_type = of.r#type.as_deref().map(EventFilter::new).transpose();
    let page = api.ops.events(
        &caller,
        EventQuery {
            event_type: event_type.map_err(|error| Problem::malformed(error.to_string()))?,
            tenant: of.tenant.map(Into::into),
            from: of.from.map(|at| time(&at, "from")).transpose()?,
            to: of.to.map(|at| time(&at, "to")).transpose()?,
            before: before
                .map(|id| id.parse())
                .transpose()
                .map_err(malformed_cursor)?,
            limit: limit(of.limit)?,
            ..EventQuery::default()
        },
    );
    let page = page.await?;
    let items = page.items.iter().map(EventView::from).collect();
    let next = page.next.map(|id| id.to_string());
    Ok(PageView::new(items, &query.filter, next.as_deref()))
}

/// One event. Needs `events:read`.
#[utoipa::path(
    get, path = "/events/{id}", tag = "events", params(("id" = String, Path, description = "The id of the event")),
    responses((status = OK, description = "The event", body = EventView), ProblemBody),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EventView>, Problem> {
    let record = api.ops.event(&caller, &id).await?;
    Ok(Json(EventView::from(&record)))
}

/// The envelope of an event, byte by byte as its requests carry it. Needs `payloads:read`.
#[utoipa::path(
    get, path = "/events/{id}/payload", tag = "events", params(("id" = String, Path, description = "The id of the event")),
    responses((status = OK, description = "The envelope", body = Object, content_type = "application/json"), ProblemBody),
)]
pub(super) async fn payload(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = api.ops.payload(&caller, &id).await?;
    let name = format!("attachment; filename=\"{}.json\"", record.event.id);
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    // What somebody else wrote must not run as a page of this server.
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_DISPOSITION, name),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ];
    Ok((headers, record.event.payload.clone()).into_response())
}

/// How much was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedView {
    /// Deliveries that were changed.
    changed: usize,
}

/// Drops the payload of an event; what waits of it is cancelled. Needs `deliveries:purge`.
#[utoipa::path(
    delete, path = "/events/{id}/payload", tag = "events", params(("id" = String, Path, description = "The id of the event")),
    responses((status = OK, description = "How many deliveries that changed", body = ChangedView), ProblemBody),
)]
pub(super) async fn erase_payload(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ChangedView>, Problem> {
    let changed = api.ops.erase_payload(&caller, &id).await?;
    Ok(Json(ChangedView { changed }))
}

/// Where an event is to go as well.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliverInput {
    endpoint_id: String,
}

/// Sends an event to an endpoint that has no delivery of it. Needs `deliveries:write`.
#[utoipa::path(
    post, path = "/events/{id}/deliveries", tag = "events", params(("id" = String, Path, description = "The id of the event")), request_body = DeliverInput,
    responses((status = CREATED, description = "The delivery", body = DeliveryView), ProblemBody),
)]
pub(super) async fn deliver(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(input): Body<DeliverInput>,
) -> Result<Response, Problem> {
    let (record, location) = api
        .ops
        .deliver_event(&caller, &id, &input.endpoint_id)
        .await
        .map(|record| {
            let location = format!("../../deliveries/{}", record.delivery.id);
            (record, location)
        })?;
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static(""));
    let view = DeliveryView::new(&caller, &record, true);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

pub(super) fn malformed_cursor<E>(_: E) -> Problem {
    Problem::malformed("cursor is none that was given here")
}

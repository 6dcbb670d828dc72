//! Deliveries.

use axum::Json;
use axum::extract::{Path, State};
use better_auth_webhooks::storage::{DeliveryQuery, DeliveryRecord, Page};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::Filter;
use super::delivery_params::{Include, delivery_params, malformed};
use super::query::{Query, limit};
use super::shapes::{AttemptView, DeliveryView, PageView};
use super::state::Api;
use crate::access::Caller;
use crate::ops::DataFilter;
use crate::problem::{Problem, ProblemBody};

/// How far deliveries are counted unless more is asked for, and at most.
const COUNTED: u64 = 100_000;
const MOST_COUNTED: u64 = 1_000_000;

delivery_params!(ListParams {
    /// JSON that the data of the event contains. Needs `payloads:read`.
    data: Option<String>,
    /// What comes with each.
    #[param(inline)]
    include: Option<Include>,
    /// Deliveries of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
});

/// Deliveries, newest first. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<DeliveryView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut query: Query<ListParams>,
) -> Result<PageView<DeliveryView>, Problem> {
    let with_attempts = query.of.include == Some(Include::Attempts);
    let filter = query.of.filter().query()?;
    let asked = asked(
        filter,
        &query.filter,
        query.of.limit,
        query.of.cursor.as_deref(),
    )?;
    let asked = DeliveryQuery {
        with_attempts,
        ..asked
    };
    page(
        &api,
        &caller,
        asked,
        query.of.data.as_deref(),
        &query.filter,
    )
    .await
}

/// A page of deliveries, of those whose events say `data` if that is asked for.
pub(super) async fn page(
    api: &Api,
    caller: &Caller,
    asked: DeliveryQuery,
    data: Option<&str>,
    filter: &Filter,
) -> Result<PageView<DeliveryView>, Problem> {
    let (attempts, limit) = (asked.with_attempts, asked.limit);
    let Some(data) = data else {
        let page = api.ops.deliveries(caller, asked).await?;
        return Ok(view(caller, page, filter, attempts));
    };
    let data = DataFilter::read(data)?;
    api.ops.may_search(caller)?;
    let _place = api.live.searches.take(caller.tenant.as_ref())?;
    let found = api.ops.search(caller, asked, &data, limit).await?;
    let page = Page::new(found.items, found.next);
    let mut view = view(caller, page, filter, attempts);
    view.complete = Some(found.complete);
    Ok(view)
}

/// The page of a query that was asked for.
pub(super) fn asked(
    query: DeliveryQuery,
    filter: &Filter,
    items: Option<usize>,
    cursor: Option<&str>,
) -> Result<DeliveryQuery, Problem> {
    let before = filter.read(cursor)?.map(|id| id.parse()).transpose();
    Ok(DeliveryQuery {
        before: before.map_err(|error| malformed(&error))?,
        limit: limit(items)?,
        ..query
    })
}

/// What the caller sees of a page.
fn view(
    caller: &Caller,
    page: Page<DeliveryRecord>,
    filter: &Filter,
    attempts: bool,
) -> PageView<DeliveryView> {
    let items = page
        .items
        .iter()
        .map(|record| DeliveryView::new(caller, record, attempts));
    let next = page.next.map(|id| id.to_string());
    PageView::new(items.collect(), filter, next.as_deref())
}

delivery_params!(CountParams {
    /// JSON that the data of the event contains. Needs `payloads:read`.
    data: Option<String>,
    /// Counts no further than this, at most 1,000,000; 100,000 if it is left out.
    #[param(minimum = 1, maximum = 1_000_000)]
    at_most: Option<u64>,
});

/// How many there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountView {
    /// How many match.
    count: u64,
    /// There may be more: it was counted no further.
    capped: bool,
    /// A search in data stopped before it had looked at all that matches otherwise: after 100,000, or some
    /// seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    complete: Option<bool>,
}

/// How many deliveries match. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/deliveries/count", tag = "deliveries", params(CountParams),
    responses((status = OK, description = "How many", body = CountView), ProblemBody),
)]
pub(super) async fn count(
    State(api): State<Api>,
    caller: Caller,
    mut query: Query<CountParams>,
) -> Result<Json<CountView>, Problem> {
    let at_most = counted(query.of.at_most)?;
    let asked = query.of.filter().query()?;
    let (count, complete) = match query.of.data.as_deref() {
        None => (api.ops.count(&caller, asked, at_most).await?, None),
        Some(data) => {
            let data = DataFilter::read(data)?;
            api.ops.may_search(&caller)?;
            let _place = api.live.searches.take(caller.tenant.as_ref())?;
            let found = api.ops.search_count(&caller, asked, &data, at_most).await?;
            (found.0, Some(found.1))
        }
    };
    Ok(Json(CountView {
        count,
        capped: count >= at_most,
        complete,
    }))
}

/// How far to count.
pub(super) fn counted(at_most: Option<u64>) -> Result<u64, Problem> {
    let at_most = at_most.unwrap_or(COUNTED);
    if (1..=MOST_COUNTED).contains(&at_most) {
        return Ok(at_most);
    }
    let detail = format!("at_most is {at_most}, it needs 1 to {MOST_COUNTED}");
    Err(Problem::malformed(detail))
}

/// A delivery with its attempts. Needs `deliveries:read`; answers of the endpoint need
/// `payloads:read`, too.
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "deliveries", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = OK, description = "The delivery", body = DeliveryView), ProblemBody),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryView>, Problem> {
    let record = api.ops.delivery(&caller, &id).await?;
    Ok(Json(DeliveryView::new(&caller, &record, true)))
}

/// The attempts of a delivery, oldest first. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/deliveries/{id}/attempts", tag = "deliveries", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = OK, description = "Its attempts", body = Vec<AttemptView>), ProblemBody),
)]
pub(super) async fn attempts(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<AttemptView>>, Problem> {
    let record = api.ops.delivery(&caller, &id).await?;
    Ok(Json(AttemptView::all(&caller, &record.attempts)))
}

/// Cancels a delivery that waits. Needs `deliveries:write`.
#[utoipa::path(
    post, path = "/deliveries/{id}/cancel", tag = "deliveries", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = OK, description = "The delivery", body = DeliveryView), ProblemBody),
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryView>, Problem> {
    let record = api.ops.cancel(&caller, &id).await?;
    Ok(Json(DeliveryView::new(&caller, &record, true)))
}

/// Sends a delivery again that has ended, however it did. Needs `deliveries:write`.
#[utoipa::path(
    post, path = "/deliveries/{id}/resend", tag = "deliveries", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = ACCEPTED, description = "The delivery", body = DeliveryView), ProblemBody),
)]
pub(super) async fn resend(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let record = api.ops.resend(&caller, &id).await?;
    let view = DeliveryView::new(&caller, &record, true);
    Ok((StatusCode::ACCEPTED, Json(view)))
}

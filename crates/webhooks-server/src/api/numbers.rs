//! Numbers, and what the system is.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use better_auth_webhooks::storage::{StatQuery, StatResolution};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::Query;
use super::shapes::{NumbersView, SeriesView, WorkerView};
use super::state::Api;
use crate::access::Caller;
use crate::ops::time;
use crate::problem::{Problem, ProblemBody};

/// What the system is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Info)]
pub(super) struct InfoView {
    /// Of this crate.
    version: &'static str,
    /// Whether the storage keeps documents, so that there can be keys and an audit log.
    keeps_documents: bool,
    /// Bytes of the envelope of one event at most.
    max_body_bytes: usize,
    /// The time, as the storage tells it.
    now: String,
}

/// What the system is. Needs `metrics:read`.
#[utoipa::path(
    get, path = "/info", tag = "system",
    responses((status = OK, description = "What it is", body = InfoView), ProblemBody),
)]
pub(super) async fn info(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<InfoView>, Problem> {
    let info = api.ops.info(&caller)?;
    Ok(Json(InfoView {
        version: env!("CARGO_PKG_VERSION"),
        keeps_documents: info.keeps_documents,
        max_body_bytes: info.max_body_bytes,
        now: info.now.to_string(),
    }))
}

/// The system in numbers. Needs `metrics:read`.
#[utoipa::path(
    get, path = "/metrics", tag = "numbers",
    responses((status = OK, description = "The numbers", body = NumbersView), ProblemBody),
)]
pub(super) async fn metrics(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<NumbersView>, Problem> {
    let (metrics, oldest_ready) = api.ops.metrics(&caller).await?;
    Ok(Json(NumbersView::new(&metrics, oldest_ready)))
}

/// The processes that deliver. Needs `metrics:read`.
#[utoipa::path(
    get, path = "/workers", tag = "numbers",
    responses((status = OK, description = "The processes", body = Vec<WorkerView>), ProblemBody),
)]
pub(super) async fn workers(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<WorkerView>>, Problem> {
    let workers = api.ops.workers(&caller).await?;
    Ok(Json(workers.into_iter().map(WorkerView::from).collect()))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsParams {
    /// Buckets that begin at this time or later; a day ago if it is left out.
    from: Option<String>,
    /// Buckets that begin before this time; now if it is left out.
    to: Option<String>,
    /// `minute`, kept for 48 hours, or `hour`, kept for 90 days. At most 1,440 of them.
    #[param(value_type = Option<String>)]
    bucket: Option<StatResolution>,
    /// Of these endpoints.
    endpoint_id: Vec<String>,
    /// `endpoint_id` for a series of each endpoint.
    #[param(inline)]
    group_by: Option<GroupStatsBy>,
}

/// What series are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GroupStatsBy {
    EndpointId,
}

/// Numbers over time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsView {
    /// How long a bucket is.
    bucket_seconds: u64,
    /// One, or one for each endpoint.
    series: Vec<SeriesView>,
}

/// What was sent, delivered, failed and given up, over time. Needs `metrics:read`.
#[utoipa::path(
    get, path = "/stats", tag = "numbers", params(StatsParams),
    responses((status = OK, description = "The numbers", body = StatsView), ProblemBody),
)]
pub(super) async fn stats(
    State(api): State<Api>,
    caller: Caller,
    query: Query<StatsParams>,
) -> Result<Json<StatsView>, Problem> {
    const DAY: Duration = Duration::from_secs(86_400);
    let of = query.of;
    let to = of.to.map(|at| time(&at, "to")).transpose()?;
    let to = to.map_or_else(|| api.ops.now(), Ok)?;
    let from = of.from.map(|at| time(&at, "from")).transpose()?;
    let endpoints: Vec<_> = of.endpoint_id.into_iter().map(Into::into).collect();
    let query = StatQuery {
        endpoint_ids: (!endpoints.is_empty()).then_some(endpoints),
        from: from.unwrap_or_else(|| to.before(DAY)),
        to,
        resolution: of.bucket.unwrap_or(StatResolution::Hour),
        per_endpoint: of.group_by.is_some(),
    };
    let bucket_seconds = query.resolution.length().as_secs();
    let buckets = api.ops.stats(&caller, query).await?;
    Ok(Json(StatsView {
        bucket_seconds,
        series: SeriesView::all(&buckets),
    }))
}

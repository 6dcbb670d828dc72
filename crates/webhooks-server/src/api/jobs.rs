//! Jobs: changes of many deliveries.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::query::{Query, limit};
use super::shapes::PageView;
use super::state::Api;
use crate::access::Caller;
use crate::documents::Kept;
use crate::ops::{DeliveryFilter, Job, JobAction, JobRequest, JobState, Matched, is_seen};
use crate::problem::{Problem, ProblemBody};

/// A job that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobInput {
    /// What is done to each delivery.
    action: JobAction,
    /// Which deliveries, in the words of `GET /deliveries`.
    #[serde(default)]
    filter: DeliveryFilter,
    /// All deliveries, in place of a filter.
    #[serde(default)]
    all: bool,
    /// If more than so many match, nothing is done; at most 1,000,000.
    #[schema(maximum = 1_000_000)]
    expected_count: Option<u64>,
    /// Deliveries a second at most, 1 to 1,000.
    #[schema(minimum = 1, maximum = 1_000)]
    rate_per_second: Option<u32>,
    /// Only counts.
    #[serde(default)]
    dry_run: bool,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    /// Identifies the job.
    id: String,
    /// What is done to each delivery.
    action: JobAction,
    /// Which deliveries.
    filter: DeliveryFilter,
    /// Where it is in its life.
    state: JobState,
    /// It was asked to stop, and does after its step of now.
    stopping: bool,
    /// Deliveries that matched when it was made.
    matched: u64,
    /// More may have matched.
    matched_capped: bool,
    /// Deliveries that were changed so far.
    changed: u64,
    /// Deliveries a second at most.
    rate_per_second: Option<u32>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: String,
    /// When it last went on.
    updated_at: String,
    /// When it ended.
    finished_at: Option<String>,
    /// Why it failed.
    problem: Option<String>,
}

impl From<&Kept<Job>> for JobView {
    fn from(kept: &Kept<Job>) -> Self {
        let job = &kept.value;
        Self {
            id: kept.id.clone(),
            action: job.action,
            filter: job.filter.clone(),
            state: job.state,
            stopping: job.stop && job.state == JobState::Running,
            matched: job.matched,
            matched_capped: job.matched_capped,
            changed: job.changed,
            rate_per_second: job.rate_per_second,
            created_by: job.created_by.to_string(),
            created_at: job.created_at.to_string(),
            updated_at: job.updated_at.to_string(),
            finished_at: job.finished_at.map(|at| at.to_string()),
            problem: job.problem.clone(),
        }
    }
}

/// How many deliveries a job would look at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRun {
    /// Deliveries that match.
    matched: u64,
    /// There may be more.
    capped: bool,
}

/// Changes many deliveries in the background: what matches and is in a state in which that can be done,
/// of what is there now. `replay`, `resend` and `cancel` need `deliveries:write`; `purge` and `erase` need
/// `deliveries:purge`.
#[utoipa::path(
    post, path = "/jobs", tag = "jobs", request_body = JobInput,
    responses(
        (status = ACCEPTED, description = "The job", body = JobView),
        (status = OK, description = "A dry run: what would be looked at", body = DryRun),
        ProblemBody,
    ),
)]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(input): Body<JobInput>,
) -> Result<Response, Problem> {
    let request = JobRequest {
        action: input.action,
        filter: input.filter,
        all: input.all,
        expected_count: input.expected_count,
        rate_per_second: input.rate_per_second,
    };
    if input.dry_run {
        let Matched { matched, capped } = api.ops.dry_job(&caller, &request).await?;
        return Ok(Json(DryRun { matched, capped }).into_response());
    }
    let job = api.ops.create_job(&caller, request).await?;
    let location = HeaderValue::from_str(&format!("jobs/{}", job.id));
    let location = location.unwrap_or(HeaderValue::from_static(""));
    let view = Json(JobView::from(&job));
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], view).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Jobs of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Jobs, newest first; kept for 30 days. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<JobView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Query<ListParams>,
) -> Result<PageView<JobView>, Problem> {
    let limit = limit(query.of.limit)?;
    let after = query.filter.read(query.of.cursor.as_deref())?;
    let jobs = api.ops.jobs(&caller, after, limit).await?;
    let next = jobs
        .last()
        .filter(|_| jobs.len() == limit)
        .map(|job| job.id.clone());
    // Those of others are left out, so that a page may be empty and not the last one.
    let seen = jobs.iter().filter(|job| is_seen(&caller, &job.value));
    let items = seen.map(JobView::from).collect();
    Ok(PageView::new(items, &query.filter, next.as_deref()))
}

/// One job. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path, description = "The id of the job")),
    responses((status = OK, description = "The job", body = JobView), ProblemBody),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = api.ops.job(&caller, &id).await?;
    Ok(Json(JobView::from(&job)))
}

/// Stops a job. What it has changed stays changed. Needs `deliveries:write`.
#[utoipa::path(
    post, path = "/jobs/{id}/stop", tag = "jobs", params(("id" = String, Path, description = "The id of the job")),
    responses((status = ACCEPTED, description = "The job", body = JobView), ProblemBody),
)]
pub(super) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let job = api.ops.stop_job(&caller, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(JobView::from(&job))))
}

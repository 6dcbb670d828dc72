//! Numbers for Prometheus.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use webhooks_telemetry::CONTENT_TYPE as OPEN_METRICS;

use super::state::Api;
use crate::access::Caller;
use crate::problem::Problem;

/// What a scrape gets: for operators with `metrics:read`.
pub(super) async fn scrape(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    let snapshot = api.ops.snapshot(&caller).await?;
    let telemetry = api.measure.telemetry.as_ref();
    let telemetry = telemetry.ok_or_else(|| Problem::not_found("nothing is counted here"))?;
    let mut text = String::new();
    telemetry.encode_with(&snapshot, &mut text);
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

//! Whether the process is alive, and ready for work.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::state::Api;

/// Whether the process should be left running: it answers.
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// Whether it can take and deliver events.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    let health = api.ops.health().await;
    let status = match health.is_healthy() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}

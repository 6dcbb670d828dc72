//! What is wrong with the system, and what is done to it as a whole.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;
use crate::access::Caller;
use crate::ops::Check;
use crate::problem::{Problem, ProblemBody};

/// What was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChecksView {
    /// One for each thing; the storage alone where that does not answer.
    checks: Vec<Check>,
}

/// Looks at the system as a whole: its storage, clocks, workers, endpoints and keys. It is answered with 200
/// whatever is found. For operators; needs `metrics:read`.
#[utoipa::path(
    get, path = "/doctor", tag = "system",
    responses((status = OK, description = "What was found", body = ChecksView), ProblemBody),
)]
pub(super) async fn doctor(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<ChecksView>, Problem> {
    let checks = api.ops.doctor(&caller).await?;
    Ok(Json(ChecksView { checks }))
}

/// What was encrypted anew.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReencryptedView {
    /// Endpoints whose credentials were.
    endpoints: usize,
    /// The ids of those whose credentials none of the keys can read; they were left as they are.
    unreadable: Vec<String>,
}

/// Encrypts the credentials of all endpoints with the newest encryption key of the storage. Needs `admin`.
#[utoipa::path(
    post, path = "/reencrypt", tag = "system",
    responses((status = OK, description = "What was done", body = ReencryptedView), ProblemBody),
)]
pub(super) async fn reencrypt(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<ReencryptedView>, Problem> {
    let done = api.ops.reencrypt(&caller).await?;
    Ok(Json(ReencryptedView {
        endpoints: done.endpoints,
        unreadable: done.unreadable,
    }))
}

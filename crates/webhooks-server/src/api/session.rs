//! Sessions, for browsers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::SET_COOKIE;
use http::request::Parts;

use super::state::Api;
use super::who::Me;
use crate::access::Caller;
use crate::problem::{Problem, ProblemBody};

/// Begins a session of who shows a key: the cookie stands for it, for 8 hours without a request and 24 at
/// most. It ends with the key.
#[utoipa::path(
    post, path = "/session", tag = "system",
    responses((status = CREATED, description = "The caller; the cookie is in Set-Cookie", body = Me), ProblemBody),
)]
pub(super) async fn begin(State(api): State<Api>, parts: Parts) -> Result<Response, Problem> {
    let (caller, cookie) = api.access.begin_session(&parts).await?;
    let me = Json(Me::from(&caller));
    Ok((StatusCode::CREATED, [(SET_COOKIE, cookie)], me).into_response())
}

/// Ends the session of the caller.
#[utoipa::path(
    delete, path = "/session", tag = "system",
    responses((status = NO_CONTENT, description = "Ended"), ProblemBody),
)]
pub(super) async fn end(
    State(api): State<Api>,
    _: Caller,
    parts: Parts,
) -> Result<Response, Problem> {
    let cookie = api.access.sessions.end(&parts).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

//! What every request has: an id, an end in time, and headers of its response.
//!
//! This is the outermost layer, so that an answer of any layer within gets an id and the fixed headers. A
//! [`Problem`] travels as an extension of an empty response, and its body is written here, where the id of
//! the request is known.
//!
//! An id of the caller is taken over only if it is a short word of safe characters: it goes into the log
//! and into a header. The metrics name the route's pattern and never the path, since each id in a path
//! would be a time series of its own.
//!
//! After 10 seconds the future of the request is dropped. What it asked of the storage may have happened
//! already, so the answer says so: a client that retries a change needs an `Idempotency-Key`. A stream
//! has answered by then, and goes on by itself.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;
use uuid::Uuid;

use crate::measure::Measure;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from the caller, in bytes.
const MAX_ID: usize = 64;
/// What a request may take; what it asked of the storage is given up with it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request, in time, under an id.
pub(super) async fn around(
    State(measure): State<Measure>,
    request: Request,
    next: Next,
) -> Response {
    let (id, began) = (id(&request), Instant::now());
    let method = request.method().clone();
    // Never the path: that has as many values as there are ids.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answered = tokio::time::timeout(TIMEOUT, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| timed_out().into_response());
    let mut response = with_body(response, &id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    let status = response.status().as_u16();
    measure.answered(method.as_str(), route, status, began.elapsed());
    response
}

/// The caller's id of the request, if it is a short word, or a new one.
fn id(request: &Request) -> String {
    let is_word = |id: &&str| {
        let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_of_word)
    };
    let told = request.headers().get(REQUEST_ID);
    let told = told.and_then(|id| id.to_str().ok()).filter(is_word);
    told.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes the body of a problem, in which the id stands.
fn with_body(mut response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        let mut response = problem.of_request(id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        return response;
    }
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "the body is larger than this route takes";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).of_request(id)
        }
        // A path whose text is no UTF-8 names nothing that there is.
        StatusCode::BAD_REQUEST => Problem::malformed("the path is malformed").of_request(id),
        _ => response,
    }
}

fn timed_out() -> Problem {
    let detail = "the request took too long, and may have been carried out";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
}

//! `ETag`, `If-Match` and `If-None-Match`: nobody overwrites what they have not seen.

use axum::extract::FromRequestParts;
use better_auth_webhooks::storage::Expected;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::state::Api;
use crate::problem::Problem;

/// What a request that changes something says about what is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Precondition(pub(super) Expected);

impl FromRequestParts<Api> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        if text(&parts.headers, &IF_NONE_MATCH) == Some("*") {
            return Ok(Self(Expected::Absent));
        }
        let Some(told) = text(&parts.headers, &IF_MATCH) else {
            let detail = "If-Match must name the ETag of what is changed, or be *";
            let status = StatusCode::PRECONDITION_REQUIRED;
            return Err(Problem::new(status, "precondition-required", detail));
        };
        if told.trim() == "*" {
            return Ok(Self(Expected::Any));
        }
        // What is no tag of ours matches nothing.
        let expected = revision(told.trim()).map(Expected::Revision);
        expected.map(Self).ok_or_else(|| {
            let detail = "If-Match names no ETag that was given here";
            Problem::new(StatusCode::PRECONDITION_FAILED, "changed", detail)
        })
    }
}

/// The `ETag` of a revision.
pub(super) fn etag(revision: u64) -> HeaderValue {
    // A quoted number is a header value in any case.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the caller has this revision already.
pub(super) fn is_known(headers: &HeaderMap, of: u64) -> bool {
    let tags = text(headers, &IF_NONE_MATCH).unwrap_or_default().split(',');
    tags.map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| revision(tag) == Some(of))
}

fn revision(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

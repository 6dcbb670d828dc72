//! Bodies of requests.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::state::Api;
use crate::problem::Problem;

/// A body of JSON. What it has too much, too little or of a wrong kind is refused, with its place.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        check_type(&request, &["application/json"])?;
        read(&bytes(request, api).await?).map(Self)
    }
}

/// A body of JSON, or none.
#[derive(Debug)]
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let has_type = request.headers().contains_key(header::CONTENT_TYPE);
        if has_type {
            check_type(&request, &["application/json"])?;
        }
        let bytes = bytes(request, api).await?;
        match bytes.is_empty() {
            true => Ok(Self(T::default())),
            false => read(&bytes).map(Self),
        }
    }
}

/// A merge patch (RFC 7396).
#[derive(Debug)]
pub(super) struct Patch(pub(super) serde_json::Value);

impl FromRequest<Api> for Patch {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        check_type(
            &request,
            &["application/merge-patch+json", "application/json"],
        )?;
        let patch: serde_json::Value = read(&bytes(request, api).await?)?;
        match patch.is_object() {
            true => Ok(Self(patch)),
            false => Err(Problem::malformed("a patch must be an object")),
        }
    }
}

/// Refuses a body that says it is something else.
fn check_type(request: &Request, types: &[&str]) -> Result<(), Problem> {
    let told = request.headers().get(header::CONTENT_TYPE);
    let told = told.and_then(|told| told.to_str().ok()).unwrap_or_default();
    let media_type = told.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|of| of.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let detail = format!("the Content-Type must be {}", types.join(" or "));
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "media-type", detail))
}

/// The whole body, within the bound of its route.
async fn bytes(request: Request, api: &Api) -> Result<Bytes, Problem> {
    Bytes::from_request(request, api)
        .await
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = "the body is larger than this route takes";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
            }
            _ => Problem::malformed("the body cannot be read"),
        })
}

/// Reads JSON, with the place of what is wrong.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let pointer = pointer(error.path());
        Problem::malformed(error.into_inner().to_string()).at(pointer)
    })?;
    from.end()
        .map_err(|error| Problem::malformed(error.to_string()))?;
    Ok(value)
}

/// Reads a value, with the place of what is wrong.
pub(super) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        Problem::malformed(error.into_inner().to_string()).at(pointer)
    })
}

/// The place in a body as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect()
}

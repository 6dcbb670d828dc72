//! What is answered when a request is refused or fails: RFC 9457.
//!
//! # Codes
//! Programs decide by `code`, which does not change. People read `detail`, which may.
//!
//! | Status | Codes | The caller can |
//! |---|---|---|
//! | 400 | `malformed`, `cursor-mismatch` | correct the request |
//! | 401 | `unauthorized` | show a key that is taken |
//! | 403 | `scope-missing`, `cross-site`, `not-revealable` | ask with other rights |
//! | 404 | `not-found` | nothing: it is not there, or not theirs |
//! | 409 | `exists`, `wrong-state`, `not-verified`, `more-than-expected` | look at the state, then decide |
//! | 409 | `idempotency-in-progress`, `carried-out` | wait, or look for what was made |
//! | 410 | `erased` | nothing: the payload is gone |
//! | 412 | `changed` | read again, and change that |
//! | 413, 422 | `too-large` | send less, or ask for less |
//! | 422 | `invalid-..`, `idempotency-key-reused` | correct what `errors` points at |
//! | 429 | `too-many-requests` | wait for `Retry-After` |
//! | 500 | `internal` | tell the operator the id of the request |
//! | 503 | `unavailable`, `busy`, `timeout` | try again later |
//!
//! What a tenant may not see is 404 and never 403: a 403 would tell that it exists. The cause of a 500 is
//! logged under the id of the request and not answered, since a driver's text may name hosts and tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};
use webhooks_core::WebhookError;

/// A request that is refused or has failed. As a response it is `application/problem+json`, as
/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) has it.
///
/// A host gets one where its [`Authenticate`](crate::Authenticate) fails with an error of the library:
///
/// ```
/// use better_auth_webhooks::WebhookError;
/// use webhooks_server::Problem;
///
/// let problem = Problem::from(WebhookError::RateLimitExceeded);
/// assert_eq!(problem.status().as_u16(), 429);
/// assert_eq!(problem.code(), "too-many-requests");
/// ```
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    /// What the caller is not told, for the log.
    cause: Option<WebhookError>,
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Which part of the body, as a JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

/// The body of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:webhooks:problem:` and the code.
    r#type: String,
    /// What the status means.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// `urn:request:` and the id of the request.
    instance: String,
    /// What kind of problem it is, for programs.
    code: &'static str,
    /// Which parts of the body are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// A problem of this kind, with a text that says what is wrong with this request.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// The request cannot be read, or asks for what cannot be asked.
    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// There is no such thing, or it is not the caller's to see: nobody can tell which.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The request can be read, and breaks a rule of what it is about.
    pub(crate) fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// What it is about is not in a state in which that can be done.
    pub(crate) fn wrong_state(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "wrong-state", detail)
    }

    /// There is such a thing already.
    pub(crate) fn exists(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "exists", detail)
    }

    /// What is there is not what the caller has seen.
    pub(crate) fn changed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail)
    }

    /// Nobody knows who calls. What is wrong with a key is not told.
    pub(crate) fn unauthorized() -> Self {
        let detail = "the request needs a key: Authorization: Bearer <key>";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The caller may do other things than what needs the scope of this name.
    pub(crate) fn scope_missing(scope: &str) -> Self {
        let detail = format!("the caller lacks the scope {scope}");
        Self::new(StatusCode::FORBIDDEN, "scope-missing", detail)
    }

    /// The caller has called too often of late.
    pub(crate) fn too_many_requests(retry_after: Duration) -> Self {
        let detail = "too many requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).after(retry_after)
    }

    /// It failed for reasons that are not the caller's to know; `cause` goes to the log.
    fn internal(cause: WebhookError) -> Self {
        let detail = "the request failed; its id is in the log of the server";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).because(cause)
    }

    /// It cannot be done now; it may be in so many seconds.
    fn unavailable(seconds: u64, error: &WebhookError) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(status, "unavailable", error.to_string());
        problem
            .after(Duration::from_secs(seconds))
            .because(error.clone())
    }

    /// There is no room for it now; there is once others have ended.
    pub(crate) fn busy(detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        problem.after(Duration::from_secs(5))
    }

    /// When to try again.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Why, for the log alone.
    fn because(mut self, cause: WebhookError) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Names the part of the body that is wrong.
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        let detail = self.0.detail.clone().into_owned();
        let pointer = pointer.into();
        self.0.errors.push(FieldError { pointer, detail });
        self
    }

    /// Names parts of the body that are wrong, each with what is wrong there.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// What kind of problem it is: `not-found`, `scope-missing`, ...
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The text that says what is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// As the response to the request with this id.
    pub(crate) fn of_request(self, id: &str) -> Response {
        let problem = *self.0;
        if let Some(cause) = &problem.cause {
            // The cause of the cause is what a driver said, which is for the operator alone.
            let source = std::error::Error::source(cause).map(tracing::field::display);
            tracing::warn!(request_id = id, error = %cause, source, "a request failed");
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let seconds = problem
            .retry_after
            .map(|time| time.as_millis().div_ceil(1_000));
        let body = ProblemBody {
            r#type: format!("urn:webhooks:problem:{}", problem.code),
            title: problem.status.canonical_reason().unwrap_or_default(),
            status: problem.status.as_u16(),
            detail: problem.detail.into_owned(),
            instance: format!("urn:request:{id}"),
            code: problem.code,
            errors: problem.errors,
            retry_after_ms: problem.retry_after.map(millis),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (problem.status, body).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        if problem.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponses for ProblemBody {
    /// What every route may answer besides what it is for.
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let body = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(body)).build();
        let response = ResponseBuilder::new()
            .description("A problem")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

impl IntoResponse for Problem {
    /// Without a body: that is made where the id of the request is known.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        use WebhookError as E;
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, error.to_string());
        let invalid = |code| Self::invalid(code, error.to_string());
        match &error {
            E::EndpointNotFound(_) | E::DeliveryNotFound(_) | E::EventNotFound(_) => {
                Self::not_found(error.to_string())
            }
            // Ids come in paths, where one that cannot be is one that there is not.
            E::InvalidId(_) => Self::not_found(error.to_string()),
            E::EndpointExists(_) | E::DeliveryExists(_) => conflict("exists"),
            E::EndpointChanged(_) => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "changed",
                error.to_string(),
            ),
            E::PayloadErased(_) => Self::new(StatusCode::GONE, "erased", error.to_string()),
            E::IdempotencyKeyReused(_) => invalid("idempotency-key-reused"),
            E::InvalidEndpoint(_) => invalid("invalid-endpoint"),
            E::InvalidEvent(_) => invalid("invalid-event"),
            E::InvalidFilter(_) => invalid("invalid-filter"),
            E::InvalidConfig(_) => invalid("invalid-config"),
            E::SerializationError(_) => invalid("invalid-data"),
            E::InvalidQuery(_) | E::UnknownName(_) => Self::malformed(error.to_string()),
            E::NotVerified(_) => conflict("not-verified"),
            E::RateLimitExceeded => Self::too_many_requests(Duration::from_secs(1)),
            E::Overloaded(_) => Self::unavailable(1, &error),
            E::ShutDown(_) | E::CircuitBreakerOpen => Self::unavailable(5, &error),
            E::StorageError(_) if error.is_transient() => Self::unavailable(2, &error),
            _ => Self::internal(error),
        }
    }
}

//! `Idempotency-Key`: what is asked twice is done once.
//!
//! It is for routes that create something; `POST /events` has its own, in the library. What was answered
//! is kept for 24 hours, as draft-ietf-httpapi-idempotency-key-header-07 has it, without secrets.
//!
//! # States of an entry
//! One entry belongs to one caller and one key. Its id is a hash of both, so a key of one caller says
//! nothing to another. An entry is in one of three states:
//!
//! | State | What is stored | What a second request gets |
//! |---|---|---|
//! | absent | nothing | it is carried out |
//! | running | the fingerprint, the start | 409 `idempotency-in-progress` |
//! | answered | the fingerprint, the answer | the answer, with `Idempotency-Replayed: true` |
//!
//! The fingerprint is a hash of path, query and body. A request with another fingerprint under the same
//! key gets 422 `idempotency-key-reused`, whatever the state.
//!
//! # What changes the state
//! The first request writes the running entry before its route runs, with the condition that there is
//! none. Of two that arrive at once, the storage lets one win. An answer of 2xx is written over it. Any
//! other answer deletes the entry: nothing counts as done, and the client may correct the request and
//! send it under the same key.
//!
//! # What a crash leaves
//! A process that dies leaves a running entry. Nobody can tell from it whether the route had done its
//! work. For 60 seconds a retry gets 409. Later a retry takes the entry over by its revision, and the
//! route runs again. So the promise is "once" as long as the process lives, and "at least once" across
//! a crash. The same holds if the answer could not be written. A request ends after 10 seconds, so an
//! entry that is 60 seconds old has no request that still runs.
//!
//! # Secrets
//! The fields `secret`, `key` and `token` at the top of an answer are removed before it is stored. A
//! replay of such a request thus does not repeat the secret. An answer that is larger than 48 KiB is
//! not stored; its replay gets 409 `carried-out`.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth_webhooks::storage::Expected;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use webhooks_core::Timestamp;

use super::state::Api;
use crate::access::Caller;
use crate::documents::Documents;
use crate::problem::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in bytes.
const MAX_KEY: usize = 256;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// After this time nobody works on a request any more, whose process has died.
const ABANDONED: Duration = Duration::from_secs(60);
/// The longest answer that is kept, in bytes: a document may have 64 KiB.
const MAX_ANSWER: usize = 48 << 10;
/// Fields of answers that are shown once.
const SECRETS: [&str; 3] = ["secret", "key", "token"];

/// A request that was made under a key, and what it was answered.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// SHA-256 of who asked for what.
    fingerprint: String,
    started_at: Timestamp,
    /// None while it runs.
    answer: Option<Answer>,
}

/// What was answered, without secrets.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    status: u16,
    location: Option<String>,
    etag: Option<String>,
    /// None if it was too large to be kept.
    body: Option<String>,
}

/// Does what a request asks for, unless it was done under its key before.
pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    let has_key = request.headers().contains_key(IDEMPOTENCY_KEY);
    if request.method() != Method::POST || !has_key {
        return next.run(request).await;
    }
    match under_key(&api, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// Does what a request asks for, or answers what it was answered before.
async fn under_key(api: &Api, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await?;
    let key = parts.headers.get(IDEMPOTENCY_KEY);
    let key = key.map(HeaderValue::as_bytes).unwrap_or_default();
    if !(1..=MAX_KEY).contains(&key.len()) {
        let detail = format!("Idempotency-Key needs 1 to {MAX_KEY} bytes");
        return Err(Problem::malformed(detail));
    }
    let body = to_bytes(body, super::MAX_BODY).await;
    let body = body.map_err(|_| Problem::malformed("the body cannot be read"))?;
    let asked = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let fingerprint = hash(&[asked.as_bytes(), &body]);
    let slot = Slot {
        documents: &api.idempotency,
        id: hash(&[caller.actor.as_bytes(), key]),
    };
    let revision = match slot.take(&fingerprint).await? {
        Taken::Anew(revision) => revision,
        Taken::Answered(answer) => return answer.repeated(),
    };
    // It was let in, and is not counted again.
    parts.extensions.insert(caller);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    slot.keep(fingerprint, revision, response).await
}

/// Where one caller's answer under one key is kept.
struct Slot<'a> {
    documents: &'a Documents,
    id: String,
}

/// What there is under a key.
enum Taken {
    /// The request is to be carried out; the revision under which it is noted as running.
    Anew(u64),
    /// It was carried out.
    Answered(Answer),
}

impl Slot<'_> {
    /// Notes that a request runs, or finds what it was answered.
    async fn take(&self, fingerprint: &str) -> Result<Taken, Problem> {
        let now = self.documents.now()?;
        let entry = Entry {
            fingerprint: fingerprint.to_owned(),
            started_at: now,
            answer: None,
        };
        let put = |expected| self.documents.put(&self.id, &entry, expected, Some(KEPT));
        if let Some(revision) = put(Expected::Absent).await? {
            return Ok(Taken::Anew(revision));
        }
        let Some(kept) = self.documents.get::<Entry>(&self.id).await? else {
            return Err(in_progress());
        };
        if kept.value.fingerprint != fingerprint {
            let detail = "Idempotency-Key was used for another request";
            return Err(Problem::invalid("idempotency-key-reused", detail));
        }
        if let Some(answer) = kept.value.answer {
            return Ok(Taken::Answered(answer));
        }
        if now.since(kept.value.started_at) < ABANDONED {
            return Err(in_progress());
        }
        let taken = put(Expected::Revision(kept.revision)).await?;
        taken.map(Taken::Anew).ok_or_else(in_progress)
    }

    /// Keeps what was answered, if something was done; else the next request does it.
    async fn keep(
        &self,
        fingerprint: String,
        revision: u64,
        response: Response,
    ) -> Result<Response, Problem> {
        let expected = Expected::Revision(revision);
        if !response.status().is_success() {
            // If that fails, who asks again is told for a minute that it runs.
            if let Err(error) = self.documents.delete_if(&self.id, expected).await {
                tracing::warn!(error = error.detail(), "a key stays taken for a minute");
            }
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        // Every answer of these routes is in memory already.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let text = |name| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let entry = Entry {
            fingerprint,
            started_at: self.documents.now()?,
            answer: Some(Answer {
                status: parts.status.as_u16(),
                location: text(LOCATION),
                etag: text(ETAG),
                body: without_secrets(&body).filter(|body| body.len() <= MAX_ANSWER),
            }),
        };
        let put = self.documents.put(&self.id, &entry, expected, Some(KEPT));
        if let Err(error) = put.await {
            // It was done. Who asks again is told that it runs, and after a minute it is done again.
            tracing::warn!(
                error = error.detail(),
                "an answer is not kept under its key"
            );
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl Answer {
    /// As the response to who asks again.
    fn repeated(self) -> Result<Response, Problem> {
        let Some(body) = self.body else {
            let detail = "the request was carried out; its answer is too large to be repeated";
            return Err(Problem::new(StatusCode::CONFLICT, "carried-out", detail));
        };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        let told = [(LOCATION, self.location), (ETAG, self.etag)];
        for (name, value) in told {
            if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(&value)) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }
}

/// An answer without what is shown once; `None` if it is no JSON.
fn without_secrets(body: &Bytes) -> Option<String> {
    if body.is_empty() {
        return Some(String::new());
    }
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    if let Some(fields) = answer.as_object_mut() {
        for name in SECRETS {
            fields.remove(name);
        }
    }
    Some(answer.to_string())
}

/// SHA-256 of parts, each with its length before it, so that none runs into the next.
fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// The first request with this key still runs.
fn in_progress() -> Problem {
    let detail = "a request with this Idempotency-Key runs already";
    Problem::new(StatusCode::CONFLICT, "idempotency-in-progress", detail)
        .after(Duration::from_secs(1))
}

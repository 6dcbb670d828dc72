//! Hands requests on to an app.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;
use webhooks_core::{
    SIGNATURE_HEADER, STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER, STANDARD_TIMESTAMP_HEADER,
    Secret, SigningKey, StandardSigner, signature_header,
};

use crate::failure::Failure;
use crate::input;
use crate::loopback::is_here;

/// How long an app may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer of an app that is handed back, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// An app to which requests are handed on.
#[derive(Debug)]
pub(super) struct Forward {
    http: reqwest::Client,
    to: Url,
    /// Signs anew, if the app knows another secret.
    sign_with: Option<Secret>,
}

impl Forward {
    /// The app at this URL.
    ///
    /// # Errors
    ///
    /// Exit code 2 for what is no `http` or `https` URL, for another machine without `--allow-external`, and
    /// for a secret that cannot be read.
    pub(super) fn new(to: &Url, external: bool, secret: Option<&Path>) -> Result<Self, Failure> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err(Failure::usage("--forward-to needs an http or https URL"));
        }
        if !external && !is_here(to) {
            let text = "--forward-to leads to another machine: say so with --allow-external";
            return Err(Failure::usage(text));
        }
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // What an app answers is handed back, a redirect too.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Failure::unreachable("no HTTP client", &error))?;
        Ok(Self {
            http,
            to: to.clone(),
            sign_with: secret.map(input::secret).transpose()?,
        })
    }

    /// Posts a request there, byte by byte; its answer, or 502 where none comes. `query` is added to that of
    /// the URL.
    pub(super) async fn post(
        &self,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let mut to = self.to.clone();
        if let Some(query) = query {
            let own = to.query().map(|own| format!("{own}&{query}"));
            to.set_query(Some(own.as_deref().unwrap_or(query)));
        }
        let mut kept = HeaderMap::new();
        for (name, value) in headers.iter().filter(|(name, _)| is_of_webhooks(name)) {
            kept.append(name.clone(), value.clone());
        }
        if let Some(secret) = &self.sign_with
            && let Err(failure) = sign(secret, &mut kept, &body)
        {
            return (StatusCode::BAD_GATEWAY, failure.to_string()).into_response();
        }
        let request = self.http.post(to).headers(kept).body(body);
        match request.send().await {
            Ok(answer) => handed_back(answer).await,
            Err(error) => {
                let text = match error.is_timeout() {
                    true => "the app did not answer in time",
                    false => "the app cannot be reached",
                };
                (StatusCode::BAD_GATEWAY, text).into_response()
            }
        }
    }
}

/// What an app answered, as far as a sender sees it.
async fn handed_back(mut answer: reqwest::Response) -> Response {
    let status = answer.status();
    let content_type = answer.headers().get(CONTENT_TYPE).cloned();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            body.truncate(MAX_ANSWER);
            break;
        }
    }
    let mut response = (status, Body::from(body)).into_response();
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// Puts signatures with another secret in the place of those that came, in the scheme and of the time of
/// those.
fn sign(secret: &Secret, headers: &mut HeaderMap, body: &[u8]) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = text(SIGNATURE_HEADER).map(|own| {
        let time = own
            .split(',')
            .find_map(|item| item.trim().strip_prefix("t="));
        let time = time.and_then(|time| time.parse().ok()).unwrap_or_default();
        let key = SigningKey::new(secret.expose().as_bytes());
        signature_header([&key], time, body)
    });
    let standard = text(STANDARD_ID_HEADER).zip(text(STANDARD_TIMESTAMP_HEADER));
    let standard = standard.map(|(id, time)| -> Result<_, Failure> {
        let signer = StandardSigner::new(secret.expose());
        let signer = signer.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(signer.sign(id, time.parse().unwrap_or_default(), body))
    });
    let signed = [
        (SIGNATURE_HEADER, own),
        (STANDARD_SIGNATURE_HEADER, standard.transpose()?),
    ];
    for (name, value) in signed {
        if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(&value)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(())
}

/// Whether a header is about the webhook, and not about the connection that it came on.
pub(super) fn is_of_webhooks(name: &HeaderName) -> bool {
    let text = name.as_str();
    let is_ours = ["x-webhook-", "webhook-"]
        .iter()
        .any(|of| text.starts_with(of));
    is_ours || [CONTENT_TYPE, USER_AGENT].contains(name) || text == "traceparent"
}

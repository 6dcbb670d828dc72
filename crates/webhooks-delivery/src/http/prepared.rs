//! What the requests of one endpoint have in common, made once.
//!
//! Promises: headers of this side come before those of an endpoint, which can replace none of them;
//! the values that an endpoint has set are wiped when the last request with them is gone; and the
//! body that is signed is the body that is sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, InvalidHeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use webhooks_core::{
    Attempt, KeptEndpoint, Result, SIGNATURE_HEADER, STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER,
    STANDARD_TIMESTAMP_HEADER, SigningKey, StandardSigner, Timestamp, WebhookEndpoint,
    WebhookError, write_signature_header,
};
use zeroize::Zeroizing;

use crate::http::header_buffers::HeaderBuffers;
use crate::http::network::{JudgedUrl, Target};

const EVENT_ID: HeaderName = HeaderName::from_static("x-webhook-id");
const EVENT_TYPE: HeaderName = HeaderName::from_static("x-webhook-event");
const DELIVERY_ID: HeaderName = HeaderName::from_static("x-webhook-delivery");
const NUMBER: HeaderName = HeaderName::from_static("x-webhook-attempt");
const SIGNATURE: HeaderName = HeaderName::from_static(SIGNATURE_HEADER);
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
const STANDARD_ID: HeaderName = HeaderName::from_static(STANDARD_ID_HEADER);
const STANDARD_TIMESTAMP: HeaderName = HeaderName::from_static(STANDARD_TIMESTAMP_HEADER);
const STANDARD_SIGNATURE: HeaderName = HeaderName::from_static(STANDARD_SIGNATURE_HEADER);

/// How many headers an attempt adds at most.
/// Length, event type, delivery, attempt and event id, one signature of the first scheme, three
/// headers of Standard Webhooks, and two of Trace Context.
const OURS: usize = 11;
/// Bytes of the values of most attempts.
/// Three ids, a time and a signature; more grows the buffer.
const USUAL_VALUES: usize = 256;

/// The version is that of all crates of the workspace.
const AGENT: &str = concat!("better-auth-webhooks/", env!("CARGO_PKG_VERSION"));

/// What the requests of one endpoint have in common.
pub(crate) struct Prepared {
    /// As it was when this was made; another allocation means another definition.
    pub(crate) endpoint: Arc<KeptEndpoint>,
    pub(crate) target: Arc<Target>,
    parts: Parts,
}

/// What a request takes from its endpoint.
pub(crate) struct Parts {
    uri: Uri,
    headers: HeaderMap,
    /// The current one first. Each signs while it is live, so that receivers can rotate without a
    /// gap.
    secrets: Vec<LiveSecret>,
}

struct LiveSecret {
    /// The current secret signs for ever.
    until: Option<Timestamp>,
    timestamped: Option<SigningKey>,
    standard: Option<StandardSigner>,
}

impl Prepared {
    pub(crate) fn new(endpoint: Arc<KeptEndpoint>, target: Arc<Target>, parts: Parts) -> Self {
        Self {
            endpoint,
            target,
            parts,
        }
    }

    /// The signed request of one attempt.
    ///
    /// `None` if a value is no header: the attempt has then failed as unbuildable, and nothing was
    /// sent.
    pub(crate) fn request(
        &self,
        attempt: &Attempt<'_>,
        room: &mut HeaderBuffers,
    ) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(attempt.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers_of(attempt, room)?;
        Some(request)
    }
}

impl Parts {
    /// Reads an endpoint whose URL was judged.
    pub(crate) fn new(endpoint: &WebhookEndpoint, url: &JudgedUrl) -> Result<Self> {
        Ok(Self {
            uri: url.request_target().clone(),
            headers: fixed_headers(endpoint, url)?,
            secrets: secrets(endpoint)?,
        })
    }

    fn headers_of(&self, attempt: &Attempt<'_>, room: &mut HeaderBuffers) -> Option<HeaderMap> {
        let mut headers = std::mem::take(&mut room.headers);
        let mut values = Values(&mut room.values);
        values.0.reserve(USUAL_VALUES);
        headers.reserve(self.headers.len() + OURS);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let id = values.display(&attempt.event_id)?;
        let mut add = |name, value| drop(headers.insert(name, value));
        // Hyper would allocate a value of its own.
        add(CONTENT_LENGTH, values.display(&attempt.body.len())?);
        add(EVENT_TYPE, values.text(attempt.event_type)?);
        add(DELIVERY_ID, values.display(&attempt.delivery_id)?);
        add(NUMBER, values.display(&attempt.number)?);
        self.sign(attempt, &id, &mut values, &mut add)?;
        add(EVENT_ID, id);
        if let Some(trace) = attempt.trace {
            add(TRACE_PARENT, values.text(trace.parent())?);
            // An endpoint that was stored before the name was reserved may have set one of its own.
            headers.remove(&TRACE_STATE);
            if let Some(state) = trace.state() {
                headers.insert(TRACE_STATE, values.text(state)?);
            }
        }
        Some(headers)
    }

    fn sign(
        &self,
        attempt: &Attempt<'_>,
        id: &HeaderValue,
        values: &mut Values<'_>,
        add: &mut impl FnMut(HeaderName, HeaderValue),
    ) -> Option<()> {
        // Storage time of this attempt: a retry is signed anew, or receivers would refuse it as too
        // old.
        let at = attempt.now.as_secs();
        let live = || {
            self.secrets
                .iter()
                .filter(|secret| secret.is_live(attempt.now))
        };
        let mut timestamped = live().filter_map(|s| s.timestamped.as_ref()).peekable();
        // One header with a `v1` per live secret.
        if timestamped.peek().is_some() {
            write_signature_header(values.0, timestamped, at, attempt.body).ok()?;
            add(SIGNATURE, values.cut()?);
        }
        let text = id.to_str().ok()?;
        let standard: Vec<_> = live()
            .filter_map(|s| s.standard.as_ref())
            .map(|key| key.sign(text, at, attempt.body))
            .collect();
        if !standard.is_empty() {
            add(STANDARD_ID, id.clone());
            add(STANDARD_TIMESTAMP, values.display(&at)?);
            add(STANDARD_SIGNATURE, values.text(&standard.join(" "))?);
        }
        Some(())
    }
}

impl LiveSecret {
    fn new(endpoint: &WebhookEndpoint, secret: &str, until: Option<Timestamp>) -> Result<Self> {
        let scheme = endpoint.signature;
        let timestamped = scheme.is_timestamped();
        let standard = scheme.is_standard();
        Ok(Self {
            until,
            timestamped: timestamped.then(|| SigningKey::new(secret.as_bytes())),
            standard: standard.then(|| StandardSigner::new(secret)).transpose()?,
        })
    }

    fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Header values, cut from one allocation.
struct Values<'a>(&'a mut BytesMut);

impl Values<'_> {
    fn text(&mut self, text: &str) -> Option<HeaderValue> {
        self.0.extend_from_slice(text.as_bytes());
        self.cut()
    }

    fn display(&mut self, value: &impl std::fmt::Display) -> Option<HeaderValue> {
        use std::fmt::Write;
        write!(self.0, "{value}").ok()?;
        self.cut()
    }

    fn cut(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }
}

fn fixed_headers(endpoint: &WebhookEndpoint, url: &JudgedUrl) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(endpoint.headers.len() + 3);
    let host = HeaderValue::from_str(url.authority())
        .map_err(|error| unbuildable("url has a host that no header can carry", error))?;
    // The host comes first, as RFC 9110 section 7.2 asks.
    headers.insert(HOST, host);
    let content_type = endpoint.content_type.as_deref();
    headers.insert(CONTENT_TYPE, own(content_type, "application/json")?);
    headers.insert(USER_AGENT, own(endpoint.user_agent.as_deref(), AGENT)?);
    for (name, value) in &endpoint.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| unbuildable("a header has a malformed name", error))?;
        // The cause of a malformed value says nothing of it.
        let value = wiped_value(value)
            .map_err(|error| unbuildable("a header has a malformed value", error))?;
        // Never in the place of one of ours.
        // Registration refuses reserved names; this holds for what was stored before one was.
        headers.entry(name).or_insert(value);
    }
    Ok(headers)
}

/// What the endpoint has set, or ours.
fn own(set: Option<&str>, ours: &'static str) -> Result<HeaderValue> {
    set.map_or_else(
        || Ok(HeaderValue::from_static(ours)),
        |set| {
            HeaderValue::from_str(set).map_err(|error| {
                unbuildable("content_type or user_agent is no value of a header", error)
            })
        },
    )
}

/// A value whose bytes are wiped when the last request that shares them is gone.
fn wiped_value(value: &str) -> std::result::Result<HeaderValue, InvalidHeaderValue> {
    let bytes = Zeroizing::new(value.as_bytes().to_vec());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))?;
    // Then hyper and `http` leave it out of their `Debug` texts.
    value.set_sensitive(true);
    Ok(value)
}

fn secrets(endpoint: &WebhookEndpoint) -> Result<Vec<LiveSecret>> {
    let previous = endpoint.previous_secrets.iter();
    std::iter::once((endpoint.secret.as_str(), None))
        .chain(previous.map(|p| (p.secret.as_str(), Some(p.expires_at))))
        .map(|(secret, until)| LiveSecret::new(endpoint, secret, until))
        .collect()
}

fn unbuildable(
    problem: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> WebhookError {
    WebhookError::InvalidEndpoint(webhooks_core::Detail::with_source(problem, source))
}

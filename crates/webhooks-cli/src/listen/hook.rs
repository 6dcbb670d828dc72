//! What is done with each request: verify, show, keep, forward, answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::SystemClock;
use better_auth_webhooks::receiver::{DEFAULT_MAX_BODY, RawWebhook, WebhookReceiver};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use webhooks_core::{Clock, EventFilter, EventType, Secret, random_bytes};

use super::forward::Forward;
use super::respond::Respond;
use super::save::Save;
use crate::failure::Failure;
use crate::output::{Output, json_safe, safe};

/// Bytes of an event's data that are shown to people.
const SHOWN: usize = 16 << 10;

/// What was asked of the listener.
pub(super) struct Rules {
    pub(super) secrets: Vec<Secret>,
    pub(super) events: Vec<String>,
    pub(super) forward: Option<Forward>,
    pub(super) forwards_unverified: bool,
    pub(super) respond: Respond,
    pub(super) delay: Duration,
    pub(super) fail_rate: f64,
    pub(super) save: Option<Save>,
    pub(super) output: Output,
}

/// The listener.
#[derive(Clone)]
pub(super) struct Hook(Arc<Listening>);

/// What it works with.
struct Listening {
    receiver: WebhookReceiver,
    filters: Vec<EventFilter>,
    rules: Rules,
}

impl Hook {
    /// A listener with these rules.
    ///
    /// # Errors
    ///
    /// Exit code 2 for what is no filter of event types.
    pub(super) fn new(rules: Rules) -> Result<Self, Failure> {
        let filters = rules.events.iter().map(|filter| EventFilter::new(filter));
        let filters = filters.collect::<Result<_, _>>();
        let secrets = rules.secrets.iter().map(|of| of.expose().to_owned());
        Ok(Self(Arc::new(Listening {
            receiver: WebhookReceiver::new("").with_secrets(secrets),
            filters: filters.map_err(|error| Failure::usage(format!("--events: {error}")))?,
            rules,
        })))
    }
}

/// Answers a request, whatever its path.
pub(super) async fn receive(State(Hook(hook)): State<Hook>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, DEFAULT_MAX_BODY).await else {
        let text = "the body cannot be read, or is longer than 1 MiB";
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    let query = parts.uri.query();
    hook.answer(query, &parts.headers, body).await
}

impl Listening {
    /// Does all that is to be done with a request.
    async fn answer(&self, query: Option<&str>, headers: &HeaderMap, body: Bytes) -> Response {
        let rules = &self.rules;
        let verified = self.receiver.verify(headers, &body);
        let webhook = self.receiver.parse_raw(&body).ok();
        let is_wanted = webhook.as_ref().is_none_or(|of| self.wants(of));
        if is_wanted {
            let error = verified.as_ref().err().map(ToString::to_string);
            self.show(headers, &body, webhook.as_ref(), error.as_deref());
            if let Some(Err(error)) = rules.save.as_ref().map(|save| save.keep(headers, &body)) {
                rules
                    .output
                    .warn(&format!("a request is not kept: {error}"));
            }
        }
        tokio::time::sleep(rules.delay).await;
        if fails(rules.fail_rate) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if verified.is_ok()
            && let Ok(webhook) = self.receiver.parse_webhook(&body)
            && let Some(answer) = webhook.challenge_response()
        {
            return ([(CONTENT_TYPE, "application/json")], answer).into_response();
        }
        match &rules.forward {
            Some(_) if !is_wanted => rules.respond.clone().into_response(),
            Some(forward) if verified.is_ok() || rules.forwards_unverified => {
                let answer = forward.post(query, headers, body).await;
                rules.output.say(&format!("forwarded: {}", answer.status()));
                answer
            }
            Some(_) => StatusCode::UNAUTHORIZED.into_response(),
            None => rules.respond.clone().into_response(),
        }
    }

    /// Whether events of this type are shown.
    fn wants(&self, webhook: &RawWebhook<'_>) -> bool {
        let event = EventType::new(&webhook.event).ok();
        let takes = |filter: &EventFilter| event.as_ref().is_some_and(|of| filter.matches(of));
        self.filters.is_empty() || self.filters.iter().any(takes)
    }

    /// Shows a request: one line and its data, or one JSON document.
    fn show(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        webhook: Option<&RawWebhook<'_>>,
        error: Option<&str>,
    ) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let at = SystemClock.now().to_string();
        let output = &self.rules.output;
        let event = webhook.map(|of| of.event.to_string());
        let id = webhook.map(|of| of.id.to_string());
        let (delivery, attempt) = (text("x-webhook-delivery"), text("x-webhook-attempt"));
        let shown = if output.is_json() {
            let body = serde_json::from_slice::<Value>(body).ok();
            output.json(
                &json!({
                    "at": at, "verified": error.is_none(), "error": error, "event": event, "id": id,
                    "delivery": delivery, "attempt": attempt, "body": body,
                })
                .to_string(),
            )
        } else {
            let mark = error.map_or_else(|| "✓".to_owned(), |error| format!("✗ {error};"));
            let known = [event.as_deref(), id.as_deref(), delivery];
            let known = known.into_iter().flatten().map(safe);
            let known = known.collect::<Vec<_>>().join(" ");
            let attempt = attempt.map_or_else(String::new, |of| format!(" attempt {}", safe(of)));
            output.line(&format!("{at} {mark} {known}{attempt}\n{}", pretty(body)))
        };
        if let Err(failure) = shown {
            tracing::debug!(?failure, "nobody reads what arrives");
        }
    }
}

/// A body for people, as far as it is shown.
fn pretty(body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
    let text = match &text {
        Some(text) => json_safe(text),
        None => safe(std::str::from_utf8(body).unwrap_or("(a body that is no text)")),
    };
    if text.len() <= SHOWN {
        return text.into_owned();
    }
    let end = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at));
    let end = end.unwrap_or_default();
    format!(
        "{}\n… {} bytes in all",
        text.get(..end).unwrap_or_default(),
        body.len()
    )
}

/// Whether this request is one of those that fail.
fn fails(rate: f64) -> bool {
    let random = random_bytes::<4>().map(u32::from_le_bytes);
    random.is_ok_and(|random| f64::from(random) < rate * f64::from(u32::MAX))
}

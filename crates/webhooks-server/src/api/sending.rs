//! Sends events.

use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::OutgoingEvent;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webhooks_core::{Priority, TraceContext, WebhookError};

use super::body::Body;
use super::state::Api;
use crate::access::Caller;
use crate::ops::{Sending, Sent};
use crate::problem::{Problem, ProblemBody};

/// What is around the data of an event in a request, in bytes.
const AROUND: usize = 4 << 10;
/// The longest body of a batch, in bytes, and its most events.
const MAX_BATCH_BYTES: usize = 8 << 20;
const MAX_BATCH: usize = 1_000;
/// The longest envelope if the system cannot tell its bound, in bytes.
const MAX_BODY: usize = 256 << 10;

pub(super) fn routes(api: &Api) -> OpenApiRouter<Api> {
    let longest = api.ops.max_body_bytes().unwrap_or(MAX_BODY) + AROUND;
    let one = OpenApiRouter::new().routes(routes!(send));
    let many = OpenApiRouter::new().routes(routes!(send_batch));
    one.layer(DefaultBodyLimit::max(longest))
        .merge(many.layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)))
}

/// An event that is to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvent)]
pub(super) struct EventInput {
    /// Its type: segments of letters, digits, `_` and `-`, with dots between them.
    #[schema(max_length = 128, example = "user.created")]
    r#type: String,
    /// What it tells. It goes out byte by byte as it is here.
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
    /// For whom it is: endpoints of this tenant get it, and those without one.
    tenant: Option<String>,
    /// The endpoint to which alone it goes, whatever its filters say.
    endpoint_id: Option<String>,
    /// `low`, `normal`, `high` or `critical`.
    #[serde(default)]
    #[schema(value_type = String, example = "normal")]
    priority: Priority,
    /// After how long it goes.
    #[serde(default)]
    delay_seconds: u64,
    /// Retries after the first attempt; left out, those of the system.
    max_retries: Option<u32>,
    /// Events with the same key arrive in order, at endpoints that order by it.
    ordering_key: Option<String>,
    /// The same event is stored once, for 24 hours. In a batch alone: one event has the header.
    idempotency_key: Option<String>,
}

/// An event that is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Receipt {
    /// Identifies the event.
    id: String,
    /// Ids of its deliveries. What goes to very many endpoints has more in a moment.
    deliveries: Vec<String>,
    /// Those of them that were given up at once, since their endpoint has as many waiting as it may.
    dead: Vec<String>,
    /// It was stored before, under the same idempotency key.
    duplicate: bool,
    /// Where its data does not follow the schema of its type, if that only warns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

impl From<Sent> for Receipt {
    fn from(sent: Sent) -> Self {
        let warnings = sent.warnings.iter().map(ToString::to_string);
        Self {
            id: sent.receipt.event_id,
            deliveries: sent.receipt.delivery_ids,
            dead: sent.receipt.dead,
            duplicate: sent.receipt.duplicate,
            warnings: warnings.collect(),
        }
    }
}

/// Several events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchInput {
    /// 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    events: Vec<EventInput>,
}

/// What became of several events, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchResults {
    /// One for each, in order.
    results: Vec<BatchResult>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchResult {
    Stored(Receipt),
    Refused { problem: BatchProblem },
}

/// Why one of several events was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchProblem {
    /// The status that it would have had alone.
    status: u16,
    /// What kind of problem it is, for programs.
    code: &'static str,
    /// What is wrong.
    detail: String,
}

/// Sends an event. It is stored when this answers, and reaches its endpoints at least once, whatever
/// crashes. Needs `events:send`.
#[utoipa::path(
    post, path = "/events", tag = "events", request_body = EventInput,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 256 bytes: the same event is stored once, for 24 hours"),
        ("traceparent" = Option<String>, Header, description = "The trace in which it is sent (W3C Trace Context)"),
        ("tracestate" = Option<String>, Header, description = "More of that trace"),
    ),
    responses(
        (status = ACCEPTED, description = "Stored", body = Receipt),
        (status = OK, description = "It was stored before", body = Receipt),
        ProblemBody,
    ),
)]
pub(super) async fn send(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Body(input): Body<EventInput>,
) -> Result<Response, Problem> {
    let text = |name: &str| {
        let value = headers.get(name).map(|value| value.to_str());
        let malformed = || Problem::malformed(format!("{name} has characters that it may not"));
        value.transpose().map_err(|_| malformed())
    };
    let mut sending = input.into_event(&api, &caller).await?;
    if let Some(key) = text("idempotency-key")? {
        sending.event = sending.event.idempotency_key(key);
    }
    if let Some(parent) = text("traceparent")? {
        // Who gets it wrong would lose the event over it: the standard says to go on without.
        if let Ok(trace) = TraceContext::new(parent, text("tracestate")?) {
            sending.event = sending.event.trace(trace);
        }
    }
    let sent = api.ops.send(&caller, sending).await?;
    let status = match sent.receipt.duplicate {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    Ok((status, Json(Receipt::from(sent))).into_response())
}

/// Sends several events, in one commit unless they are very large. Each has its own answer. Needs
/// `events:send`.
#[utoipa::path(
    post, path = "/events/batch", tag = "events", request_body = BatchInput,
    responses(
        (status = OK, description = "What became of each, in order", body = BatchResults),
        ProblemBody,
    ),
)]
pub(super) async fn send_batch(
    State(api): State<Api>,
    caller: Caller,
    Body(batch): Body<BatchInput>,
) -> Result<Json<BatchResults>, Problem> {
    let count = batch.events.len();
    if !(1..=MAX_BATCH).contains(&count) {
        let detail = format!("events has {count} events, it needs 1 to {MAX_BATCH}");
        return Err(Problem::invalid("invalid-event", detail).at("/events"));
    }
    let mut events = Vec::with_capacity(count);
    let mut refused = Vec::with_capacity(count);
    for input in batch.events {
        match input.into_event(&api, &caller).await {
            Ok(event) => {
                events.push(event);
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem)),
        }
    }
    let mut sent = api.ops.send_batch(&caller, events).await?.into_iter();
    let results = refused.into_iter().map(|refused| {
        let missing = || Err(WebhookError::wrong_number_of_answers(count, 0).into());
        let stored = match refused {
            Some(problem) => Err(problem),
            None => sent.next().unwrap_or_else(missing),
        };
        match stored {
            Ok(sent) => BatchResult::Stored(sent.into()),
            Err(problem) => BatchResult::Refused {
                problem: BatchProblem {
                    status: problem.status().as_u16(),
                    code: problem.code(),
                    detail: problem.detail().to_owned(),
                },
            },
        }
    });
    Ok(Json(BatchResults {
        results: results.collect(),
    }))
}

impl EventInput {
    /// The event that this describes, if the caller may send it.
    async fn into_event(self, api: &Api, caller: &Caller) -> Result<Sending, Problem> {
        let mut event = OutgoingEvent::new(&self.r#type)
            .priority(self.priority)
            .delay(Duration::from_secs(self.delay_seconds));
        let tenant = match (&caller.tenant, self.tenant) {
            (Some(own), Some(tenant)) if *tenant != **own => {
                let detail = "tenant must be the caller's own, or be left out";
                return Err(Problem::invalid("invalid-event", detail).at("/tenant"));
            }
            (Some(own), _) => Some(own.to_string()),
            (None, tenant) => tenant,
        };
        if let Some(tenant) = tenant {
            event = event.tenant(tenant);
        }
        if let Some(endpoint_id) = self.endpoint_id {
            api.ops.may_send_to(caller, &endpoint_id).await?;
            event = event.endpoint(endpoint_id);
        }
        if let Some(retries) = self.max_retries {
            event = event.max_retries(retries);
        }
        if let Some(key) = self.ordering_key {
            event = event.ordering_key(key);
        }
        if let Some(key) = self.idempotency_key {
            event = event.idempotency_key(key);
        }
        Ok(Sending {
            event,
            event_type: self.r#type,
            data: self.data,
        })
    }
}

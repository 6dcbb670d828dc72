//! A delivery as callers see it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use better_auth_webhooks::storage::DeliveryRecord;
use serde::Serialize;
use utoipa::ToSchema;
use webhooks_core::{
    AttemptRecord, CancelReason, DeadReason, DeliveryState, FailureKind, Priority,
};

use super::time::millis;
use crate::access::{Caller, Scope};

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::api) struct DeliveryView {
    /// Identifies the delivery.
    id: String,
    /// Identifies the event.
    event_id: String,
    /// The type of the event.
    event_type: String,
    /// Where it goes.
    endpoint_id: String,
    /// For whom the event was sent.
    tenant: Option<String>,
    /// `low`, `normal`, `high` or `critical`.
    #[schema(value_type = String)]
    priority: Priority,
    /// `blocked`, `ready`, `scheduled`, `leased`, `delivered`, `dead` or `cancelled`.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// Why it was given up, if it was.
    #[schema(value_type = Option<String>)]
    dead_reason: Option<DeadReason>,
    /// Why it was cancelled, if it was.
    #[schema(value_type = Option<String>)]
    cancel_reason: Option<CancelReason>,
    /// Attempts that were started, in this series.
    attempt_count: u32,
    /// Retries after the first attempt.
    max_retries: u32,
    /// How often a process died while it had the delivery.
    crashes: u32,
    /// When it may go.
    due_at: String,
    /// When the event was sent.
    created_at: String,
    /// When the state last changed.
    updated_at: String,
    /// How its last attempt came out.
    last: LastView,
    /// The data of the event was dropped.
    payload_erased: bool,
    /// The process that has it now. Operators alone see it.
    worker: Option<String>,
    /// Its attempts, oldest first, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptView>>,
}

/// How the last attempt came out.
#[derive(Debug, Serialize, ToSchema)]
struct LastView {
    /// The status of the response, if one came.
    status: Option<u16>,
    /// Why it failed, if it did.
    #[schema(value_type = Option<String>)]
    failure: Option<FailureKind>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(in crate::api) struct AttemptView {
    /// From 1, in its series.
    number: u32,
    /// When it started.
    started_at: String,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// The status of the response, if one came.
    status: Option<u16>,
    /// Why it failed, if it did.
    #[schema(value_type = Option<String>)]
    failure: Option<FailureKind>,
    /// Another attempt may have run at the same time.
    ambiguous: bool,
    /// What the endpoint answered, for who may see payloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseView>,
}

/// What is kept of a response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Response)]
pub(in crate::api) struct ResponseView {
    /// Bytes of the body that were kept.
    bytes: usize,
    /// The body, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The body, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Headers of the response, as many as the system keeps.
    headers: Vec<(String, String)>,
}

impl DeliveryView {
    /// What this caller sees of a delivery.
    pub(in crate::api) fn new(caller: &Caller, record: &DeliveryRecord, attempts: bool) -> Self {
        let delivery = &record.delivery;
        let event = &delivery.event;
        let worker = delivery.lease.as_ref().filter(|_| caller.tenant.is_none());
        let attempts = attempts.then(|| AttemptView::all(caller, &record.attempts));
        Self {
            id: delivery.id.to_string(),
            event_id: event.id.to_string(),
            event_type: event.event_type.to_string(),
            endpoint_id: delivery.endpoint_id.to_string(),
            tenant: event.tenant.as_deref().map(str::to_owned),
            priority: delivery.priority,
            state: record.state,
            dead_reason: record.dead_reason,
            cancel_reason: record.cancel_reason,
            attempt_count: delivery.attempts,
            max_retries: delivery.max_retries,
            crashes: delivery.crashes,
            due_at: delivery.due_at.to_string(),
            created_at: event.created_at.to_string(),
            updated_at: record.updated_at.to_string(),
            last: LastView {
                status: record.last_status,
                failure: told(caller, record.last_failure),
            },
            payload_erased: event.payload.is_empty(),
            worker: worker.map(|lease| lease.worker.as_str().to_owned()),
            attempts,
        }
    }
}

impl AttemptView {
    pub(in crate::api) fn all(caller: &Caller, attempts: &[AttemptRecord]) -> Vec<Self> {
        attempts
            .iter()
            .map(|attempt| Self::new(caller, attempt))
            .collect()
    }

    fn new(caller: &Caller, attempt: &AttemptRecord) -> Self {
        let sees = attempt.status.is_some() && caller.scopes.contains(Scope::PayloadsRead);
        let response = || ResponseView::new(&attempt.response, &attempt.response_headers);
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: millis(attempt.duration),
            status: attempt.status,
            failure: told(caller, attempt.failure),
            ambiguous: attempt.ambiguous,
            response: sees.then(response),
        }
    }
}

impl ResponseView {
    pub(in crate::api) fn new(body: &[u8], headers: &[(String, String)]) -> Self {
        let text = std::str::from_utf8(body).ok();
        Self {
            bytes: body.len(),
            text: text.map(str::to_owned),
            base64: text.is_none().then(|| STANDARD.encode(body)),
            headers: headers.to_vec(),
        }
    }
}

/// Why an attempt failed. A tenant is not told whether a name has no address or one that is refused:
/// both together would draw a map of the network that the system stands in.
pub(in crate::api) fn told(caller: &Caller, failure: Option<FailureKind>) -> Option<FailureKind> {
    match failure {
        Some(FailureKind::AddressRefused) if caller.tenant.is_some() => Some(FailureKind::Dns),
        failure => failure,
    }
}

//! How what users read is serialised: durations in milliseconds, bodies as what they are, and
//! nothing of a credential.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    BatchConfig, ContentFilter, KeptEndpoint, OnDead, OrderBy, RateLimitConfig, SignatureScheme,
    Timestamp, WebhookEndpoint, WebhookError,
};

/// A duration in whole milliseconds.
pub(crate) fn millis<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A payload as the JSON that it is; null once it was erased.
pub(crate) fn json<S: Serializer>(payload: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    if payload.is_empty() {
        return to.serialize_none();
    }
    // Its text may be personal, so that no error may quote it.
    let json: &RawValue =
        serde_json::from_slice(payload).map_err(|_| S::Error::custom("the payload is no json"))?;
    json.serialize(to)
}

/// Bytes that are most likely text, as that.
pub(crate) fn text<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(bytes))
}

/// An error as its own text.
pub(crate) fn error<S: Serializer>(error: &Option<WebhookError>, to: S) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => to.collect_str(error),
        None => to.serialize_none(),
    }
}

/// A definition without what is or may be a credential: secrets, values of headers and the query of
/// the URL.
pub(crate) fn definition<S: Serializer>(endpoint: &KeptEndpoint, to: S) -> Result<S::Ok, S::Error> {
    Definition::of(endpoint).serialize(to)
}

#[derive(Serialize)]
struct Definition<'a> {
    id: &'a str,
    url: &'a str,
    events: &'a [String],
    filter: Option<&'a ContentFilter>,
    enabled: bool,
    rate_limit: Option<RateLimitConfig>,
    /// Their names.
    headers: Vec<&'a str>,
    content_type: Option<&'a str>,
    user_agent: Option<&'a str>,
    accepted_statuses: &'a [u16],
    timeout_seconds: u64,
    tenant: Option<&'a str>,
    batch: Option<BatchConfig>,
    signature: SignatureScheme,
    previous_secrets: Vec<Expiry>,
    ordering: OrderBy,
    on_dead: OnDead,
    description: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Expiry {
    expires_at: Timestamp,
}

impl<'a> Definition<'a> {
    /// Whoever adds a field decides here whether it is shown.
    fn of(endpoint: &'a WebhookEndpoint) -> Self {
        let WebhookEndpoint {
            id,
            url: _,
            secret: _,
            events,
            filter,
            enabled,
            rate_limit,
            headers,
            content_type,
            user_agent,
            accepted_statuses,
            timeout_seconds,
            tenant,
            batch,
            signature,
            previous_secrets,
            ordering,
            on_dead,
            description,
            metadata,
        } = endpoint;
        let mut headers: Vec<_> = headers.keys().map(String::as_str).collect();
        headers.sort_unstable();
        let expiry = |expires_at| Expiry { expires_at };
        let expiries = previous_secrets.iter().map(|p| expiry(p.expires_at));
        Self {
            id,
            url: endpoint.shown_url(),
            events,
            filter: filter.as_ref(),
            enabled: *enabled,
            rate_limit: *rate_limit,
            headers,
            content_type: content_type.as_deref(),
            user_agent: user_agent.as_deref(),
            accepted_statuses,
            timeout_seconds: *timeout_seconds,
            tenant: tenant.as_deref(),
            batch: *batch,
            signature: *signature,
            previous_secrets: expiries.collect(),
            ordering: *ordering,
            on_dead: *on_dead,
            description,
            metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::storage::{
        Changed, Counts, DeliveryRecord, DisabledBy, EndpointRecord, GateState, Page,
    };
    use crate::{
        AttemptRecord, CancelReason, Circuit, CircuitState, DeadReason, DeliveryId, DeliveryState,
        EventId, EventType, FailureKind, Lease, PreviousSecret, WebhookDelivery, WebhookEvent,
        WorkerId,
    };

    /// In every credential.
    const MARK: &str = "hunter2";
    const AT: Timestamp = Timestamp::from_secs(1_000);

    fn endpoint() -> WebhookEndpoint {
        WebhookEndpoint {
            id: "a".into(),
            url: format!("https://example.com/in?token={MARK}"),
            secret: MARK.into(),
            events: vec!["*".into()],
            headers: [("authorization".into(), format!("Bearer {MARK}"))].into(),
            previous_secrets: vec![PreviousSecret {
                secret: MARK.into(),
                expires_at: AT,
            }],
            ..WebhookEndpoint::default()
        }
    }

    fn delivery() -> WebhookDelivery {
        let event = WebhookEvent {
            id: EventId::from_uuid(uuid::Uuid::nil()),
            event_type: EventType::new("user.created").unwrap(),
            tenant: Some("t".into()),
            // To the byte: a number that no f64 can hold, and a key that stands twice.
            payload: Bytes::from_static(br#"{"n": 1.00000000000000000001, "k":1,"k":2}"#),
            created_at: AT,
            ordering_key: None,
            trace: None,
        };
        let mut delivery = WebhookDelivery::new("a", Arc::new(event));
        delivery.id = DeliveryId::from_uuid(uuid::Uuid::nil());
        delivery.endpoint = Some(endpoint().into());
        delivery.lease = Some(Lease {
            worker: WorkerId::named("w"),
            token: 7,
        });
        delivery
    }

    #[track_caller]
    fn shown(what: &impl Serialize) -> Value {
        let text = serde_json::to_string(what).unwrap();
        assert!(!text.contains(MARK), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_endpoint_is_shown_without_its_credentials() {
        let gate = GateState {
            disabled: Some(DisabledBy::Gone),
            held_until: Some(AT),
            ..GateState::default()
        };
        let mut record = EndpointRecord::new(endpoint(), gate);
        record.unreadable = Some(WebhookError::StorageError("no key".into()));
        let definition = json!({
            "id": "a", "url": "https://example.com/in", "events": ["*"], "filter": null,
            "enabled": true, "rate_limit": null, "headers": ["authorization"], "content_type": null,
            "user_agent": null, "accepted_statuses": [], "timeout_seconds": 0, "tenant": null,
            "batch": null, "signature": "timestamped",
            "previous_secrets": [{ "expires_at": 1_000_000 }], "ordering": "none", "on_dead": "continue",
            "description": "", "metadata": {},
        });
        let gate = json!({
            "paused": false, "disabled": "gone", "held_until": 1_000_000, "max_leased": null,
            "failing_since": null, "epoch": 0,
        });
        let expected = json!({
            "endpoint": definition, "gate": gate, "revision": 0, "definition_revision": 0,
            "created_at": 0, "updated_at": 0,
            "incarnation": 0, "deleted": false, "unreadable": "storage error: no key",
        });
        assert_eq!(shown(&record), expected);
    }

    #[test]
    fn a_delivery_is_shown_with_its_payload_and_attempts_and_without_its_endpoint() {
        let mut attempt = AttemptRecord::new(delivery().id, 1, AT);
        attempt.duration = Duration::from_micros(41_900);
        attempt.status = Some(503);
        attempt.failure = Some(FailureKind::ServerError);
        attempt.response = Bytes::from_static(b"no \xff");
        let mut record = DeliveryRecord::new(delivery(), DeliveryState::Dead, AT);
        record.dead_reason = Some(DeadReason::AttemptsExhausted);
        record.cancel_reason = Some(CancelReason::ByHand);
        record.attempts.push(attempt);
        let page = Page::new(vec![record], Some(delivery().id));

        let text = serde_json::to_string(&page).unwrap();
        let payload = std::str::from_utf8(&delivery().event.payload)
            .unwrap()
            .to_owned();
        assert!(text.contains(&payload), "{text}");
        let id = "delivery_00000000-0000-0000-0000-000000000000";
        let event = json!({
            "id": "webhook_00000000-0000-0000-0000-000000000000", "event_type": "user.created",
            "tenant": "t", "payload": serde_json::from_str::<Value>(&payload).unwrap(),
            "created_at": 1_000_000, "ordering_key": null, "trace": null,
        });
        let delivery = json!({
            "id": id, "endpoint_id": "a", "incarnation": 0, "by_name": true, "order": null, "event": event,
            "priority": "normal", "due_at": 1_000_000, "attempts": 0, "max_retries": 11,
            "crashes": 0, "lease": { "worker": "w", "token": 7 },
        });
        let attempt = json!({
            "delivery_id": id, "number": 1, "started_at": 1_000_000, "duration_ms": 41,
            "status": 503, "failure": "server_error", "response": "no \u{fffd}",
            "response_headers": [],
            "ambiguous": false,
        });
        let expected = json!({
            "items": [{
                "delivery": delivery, "state": "dead", "dead_reason": "attempts_exhausted",
                "cancel_reason": "by_hand", "updated_at": 1_000_000, "last_status": null, "last_failure": null,
                "attempts": [attempt],
            }],
            "next": id,
        });
        assert_eq!(shown(&page), expected);
    }

    #[test]
    fn an_erased_payload_is_null_and_one_that_is_no_json_an_error_that_does_not_quote_it() {
        let mut event = WebhookEvent::clone(&delivery().event);
        event.payload = Bytes::new();
        assert_eq!(shown(&event)["payload"], Value::Null);
        event.payload = Bytes::from_static(b"hunter2");
        let error = serde_json::to_string(&event).unwrap_err().to_string();
        assert!(!error.contains(MARK), "{error}");
    }

    #[test]
    fn what_counts_is_shown_as_it_is() {
        let counts = Counts {
            suspended: 3,
            ..Counts::default()
        };
        assert_eq!(shown(&counts)["suspended"], 3);
        let open = Circuit::new(CircuitState::HalfOpen, Some(AT));
        let expected = json!({ "state": "half_open", "reopens_at": 1_000_000 });
        assert_eq!(shown(&open), expected);
        let changed = json!({ "changed": 2, "next": null });
        assert_eq!(shown(&Changed::new(2, None)), changed);
    }
}

//! What is sent, with options.

use std::time::Duration;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use webhooks_core::{DeliveryId, Priority, Result, SendOptions, TraceContext, WebhookError};
use webhooks_delivery::Sent;

use crate::WebhookSystem;

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SendReceipt {
    /// The id of the event: the consumer's idempotency key.
    pub event_id: String,
    /// The ids of its deliveries, one per endpoint; empty if no endpoint takes the event.
    pub delivery_ids: Vec<String>,
    /// Those of them that went to the dead letters at once, because the endpoint's backlog is full.
    pub dead: Vec<String>,
    /// It was sent before under the same idempotency key, and nothing was sent now.
    pub duplicate: bool,
}

impl From<Sent> for SendReceipt {
    fn from(sent: Sent) -> Self {
        let names = |ids: &[DeliveryId]| ids.iter().map(ToString::to_string).collect();
        Self {
            event_id: sent.event_id.to_string(),
            delivery_ids: names(&sent.delivery_ids),
            dead: names(&sent.dead),
            duplicate: sent.duplicate,
        }
    }
}

/// An event to be sent, with options.
///
/// ```
/// use better_auth_webhooks::{OutgoingEvent, Priority};
///
/// let event = OutgoingEvent::new("user.created")
///     .data(serde_json::json!({ "user_id": "123" }))
///     .priority(Priority::High);
/// ```
#[derive(Clone)]
#[must_use = "an event is not sent until it is given to the system"]
pub struct OutgoingEvent {
    event_type: String,
    data: EventData,
    tenant: Option<String>,
    endpoint_id: Option<String>,
    priority: Priority,
    delay: Duration,
    idempotency_key: Option<String>,
    max_retries: Option<u32>,
    ordering_key: Option<String>,
    trace: Option<TraceContext>,
}

/// What an event says, or why it is no JSON: then it is refused when it is sent, by itself alone.
#[derive(Clone)]
pub(crate) struct EventData(Result<Box<RawValue>>);

impl Serialize for EventData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(data) => data.serialize(serializer),
            Err(error) => Err(S::Error::custom(error)),
        }
    }
}

impl OutgoingEvent {
    /// An event of this type, without data: `null`.
    pub fn new(event_type: &str) -> Self {
        Self {
            event_type: event_type.into(),
            data: EventData(Ok(RawValue::NULL.to_owned())),
            tenant: None,
            endpoint_id: None,
            priority: Priority::default(),
            delay: Duration::ZERO,
            idempotency_key: None,
            max_retries: None,
            ordering_key: None,
            trace: None,
        }
    }

    /// The event's data: anything that can be written as JSON. What a [`RawValue`] holds is sent
    /// byte by byte.
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.data = EventData(to_raw_value(&data).map_err(WebhookError::from));
        self
    }

    /// The event's data as JSON that was read already, which is not copied. It is sent byte by byte.
    pub fn raw_data(mut self, data: Box<RawValue>) -> Self {
        self.data = EventData(Ok(data));
        self
    }

    /// How urgent it is among the deliveries of an endpoint. Defaults to normal.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How long it waits before its first attempt, at most 30 days. Defaults to not at all.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same key of the same tenant sends nothing again for 24 h and returns the first
    /// receipt; with other data, another type or another endpoint it is refused. 1 to 256 bytes.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Sends to the endpoints of this tenant and to those without one. 1 to 256 bytes. Defaults
    /// to the latter alone.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sends to this endpoint alone, whatever its filters say.
    pub fn endpoint(mut self, endpoint_id: impl Into<String>) -> Self {
        self.endpoint_id = Some(endpoint_id.into());
        self
    }

    /// How often its deliveries are tried again, at most 1,000 times. Defaults to the system's
    /// schedule, which says when in any case.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Events with the same key arrive in the order in which they were sent, at endpoints that
    /// [order by it](crate::OrderBy::Key). 1 to 256 bytes.
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.ordering_key = Some(key.into());
        self
    }

    /// The trace in which it is sent, which is kept with it.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    pub(crate) fn options(&self) -> SendOptions<'_> {
        SendOptions {
            event_type: &self.event_type,
            tenant: self.tenant.as_deref(),
            endpoint_id: self.endpoint_id.as_deref(),
            priority: self.priority,
            delay: self.delay,
            idempotency_key: self.idempotency_key.as_deref(),
            max_retries: self.max_retries,
            ordering_key: self.ordering_key.as_deref(),
            trace: self.trace.as_ref(),
        }
    }

    pub(crate) const fn event_data(&self) -> &EventData {
        &self.data
    }
}

impl std::fmt::Debug for OutgoingEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The data may be personal.
        self.options().fmt(f)
    }
}

/// An event of one system, with options; sent with [`send`](Self::send).
#[derive(Clone, Debug)]
#[must_use = "an event is not sent until `send` is awaited"]
pub struct EventBuilder {
    system: WebhookSystem,
    event: OutgoingEvent,
}

impl EventBuilder {
    pub(crate) fn new(system: WebhookSystem, event_type: &str) -> Self {
        Self {
            system,
            event: OutgoingEvent::new(event_type),
        }
    }

    /// See [`OutgoingEvent::data`].
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.event = self.event.data(data);
        self
    }

    /// See [`OutgoingEvent::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.event = self.event.priority(priority);
        self
    }

    /// See [`OutgoingEvent::delay`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.event = self.event.delay(delay);
        self
    }

    /// See [`OutgoingEvent::idempotency_key`].
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.event = self.event.idempotency_key(key);
        self
    }

    /// See [`OutgoingEvent::tenant`].
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.event = self.event.tenant(tenant);
        self
    }

    /// See [`OutgoingEvent::endpoint`].
    pub fn endpoint(mut self, endpoint_id: impl Into<String>) -> Self {
        self.event = self.event.endpoint(endpoint_id);
        self
    }

    /// See [`OutgoingEvent::max_retries`].
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.event = self.event.max_retries(retries);
        self
    }

    /// See [`OutgoingEvent::ordering_key`].
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.event = self.event.ordering_key(key);
        self
    }

    /// See [`OutgoingEvent::trace`].
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.event = self.event.trace(trace);
        self
    }

    /// Sends the event.
    ///
    /// # Errors
    ///
    /// As [`WebhookSystem::send_webhook`];
    /// [`EndpointNotFound`](crate::WebhookError::EndpointNotFound) when it is for one endpoint
    /// that does not exist or is disabled; and
    /// [`IdempotencyKeyReused`](crate::WebhookError::IdempotencyKeyReused).
    pub async fn send(self) -> Result<SendReceipt> {
        self.system.send_event(&self.event).await
    }
}

//! What is sent, with options.

use std::time::Duration;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use webhooks_core::{Priority, Result, SendOptions, WebhookError};
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
}

impl From<Sent> for SendReceipt {
    fn from(sent: Sent) -> Self {
        Self {
            event_id: sent.event_id.to_string(),
            delivery_ids: sent.delivery_ids.iter().map(ToString::to_string).collect(),
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
        }
    }

    /// The event's data: anything that can be written as JSON. What a [`RawValue`] holds is sent
    /// byte by byte.
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.data = EventData(to_raw_value(&data).map_err(WebhookError::from));
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
    /// receipt. 1 to 256 bytes.
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

    pub(crate) fn options(&self) -> SendOptions<'_> {
        SendOptions {
            event_type: &self.event_type,
            tenant: self.tenant.as_deref(),
            endpoint_id: self.endpoint_id.as_deref(),
            priority: self.priority,
            delay: self.delay,
            idempotency_key: self.idempotency_key.as_deref(),
            max_retries: self.max_retries,
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

    /// Sends the event.
    ///
    /// # Errors
    ///
    /// As [`WebhookSystem::send_webhook`], and
    /// [`EndpointNotFound`](crate::WebhookError::EndpointNotFound) when it is for one endpoint
    /// that does not exist or is disabled.
    pub async fn send(self) -> Result<SendReceipt> {
        let event = &self.event;
        self.system.send(&event.options(), event.event_data()).await
    }
}

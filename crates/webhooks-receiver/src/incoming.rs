//! A webhook as it came in.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webhooks_core::{BATCH_EVENT, Detail, PING_EVENT, Result, WebhookError};

use crate::object::Object;

/// The longest challenge that is answered, in bytes.
const MAX_CHALLENGE: usize = 256;
/// The longest id, in bytes, so that what remembers ids is bounded.
const MAX_ID: usize = 256;

/// A webhook as it came in: one event, or a batch of them.
///
/// Fields that this version does not know are ignored. `Debug` leaves `data` out, because it may
/// hold personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingWebhook {
    /// Identifies the event, the same in every retry: the key of idempotent handling. A batch has
    /// an id of its own; there the ids of its events are the keys.
    pub id: String,
    /// The type of the event, such as `user.created`, or `webhook.batch`.
    pub event: String,
    /// When the event was sent, as on the wire: RFC 3339, UTC. See [`IncomingWebhook::sent_at`].
    pub timestamp: String,
    /// What the event says.
    pub data: Value,
    /// The version of the envelope, `1.0`.
    pub version: String,
}

impl IncomingWebhook {
    /// When the event was sent.
    ///
    /// # Errors
    ///
    /// [`WebhookError::SerializationError`] when the timestamp is not RFC 3339 in UTC (`Z`).
    pub fn sent_at(&self) -> Result<SystemTime> {
        humantime::parse_rfc3339(&self.timestamp).map_err(|error| {
            let text = "the timestamp is not rfc 3339 in utc";
            WebhookError::SerializationError(Detail::with_source(text, error))
        })
    }

    /// Whether this is a batch of events.
    #[must_use]
    pub fn is_batch(&self) -> bool {
        self.event == BATCH_EVENT
    }

    /// The events of a batch, copied out one at a time, or this one event.
    ///
    /// A parsed batch holds nothing but events. In one that was made otherwise, what is not an
    /// event is left out.
    pub fn events(&self) -> impl Iterator<Item = Self> + '_ {
        let single = (!self.is_batch()).then(|| self.clone());
        let inner = self.inner().unwrap_or_default().iter();
        single
            .into_iter()
            .chain(inner.filter_map(|event| Self::deserialize(event).ok()))
    }

    /// The events of a batch, or this one event, without copying them; otherwise as
    /// [`IncomingWebhook::events`].
    pub fn into_events(mut self) -> impl Iterator<Item = Self> {
        let inner = match self.data.pointer_mut("/events") {
            Some(Value::Array(events)) if self.event == BATCH_EVENT => std::mem::take(events),
            _ => Vec::new(),
        };
        let single = (!self.is_batch()).then_some(self);
        let inner = inner.into_iter();
        single
            .into_iter()
            .chain(inner.filter_map(|event| serde_json::from_value(event).ok()))
    }

    /// The challenge of a `webhook.ping`, by which the sender asks whether its webhooks are wanted
    /// here. `None` for every other event.
    #[must_use]
    pub fn challenge(&self) -> Option<&str> {
        let challenge = self.data.get("challenge").filter(|_| self.is_ping())?;
        let challenge = challenge.as_str()?;
        (1..=MAX_CHALLENGE)
            .contains(&challenge.len())
            .then_some(challenge)
    }

    /// The body of the answer to a `webhook.ping`, to be sent with status 200 and as
    /// `application/json`: `{"challenge":"<the same>"}`. `None` for every other event.
    ///
    /// Answer it if you have asked for webhooks here: from then on they come.
    #[must_use]
    pub fn challenge_answer(&self) -> Option<String> {
        let challenge = self.challenge()?;
        Some(serde_json::json!({ "challenge": challenge }).to_string())
    }

    fn is_ping(&self) -> bool {
        self.event == PING_EVENT
    }

    fn inner(&self) -> Option<&[Value]> {
        let events = self.data.get("events").filter(|_| self.is_batch())?;
        events.as_array().map(Vec::as_slice)
    }
}

impl fmt::Debug for IncomingWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingWebhook")
            .field("id", &self.id)
            .field("event", &self.event)
            .field("timestamp", &self.timestamp)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Parses the envelope of an event or of a batch.
pub(crate) fn parse(body: &[u8]) -> Result<IncomingWebhook> {
    // What is skipped would otherwise not be looked at.
    let text = std::str::from_utf8(body).map_err(|error| {
        WebhookError::SerializationError(Detail::with_source("the body is not utf-8", error))
    })?;
    let Object(webhook) = serde_json::from_str::<Object<IncomingWebhook>>(text)?;
    check_id(&webhook.id)?;
    if webhook.is_batch() {
        check_batch(text)?;
    }
    Ok(webhook)
}

/// Checks the inner envelopes in the text itself, where a key that stands twice can still be seen.
fn check_batch(text: &str) -> Result<()> {
    let batch: Batch<'_> = serde_json::from_str(text)?;
    for Object(event) in &batch.data.0.events {
        check_id(&event.id)?;
        if event.event == BATCH_EVENT {
            return refuse("a batch holds a batch");
        }
    }
    Ok(())
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return refuse("an id is empty");
    }
    if id.len() > MAX_ID {
        return refuse(format!("an id is {} bytes, at most {MAX_ID}", id.len()));
    }
    Ok(())
}

fn refuse(message: impl Into<Detail>) -> Result<()> {
    Err(WebhookError::SerializationError(message.into()))
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    data: Object<BatchData<'a>>,
}

#[derive(Deserialize)]
struct BatchData<'a> {
    #[serde(borrow)]
    events: Vec<Object<Inner<'a>>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields must be there and of their types")]
struct Inner<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    data: IgnoredAny,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

//! A webhook as it came in.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use webhooks_core::{BATCH_EVENT, Detail, PING_EVENT, Result, WebhookError};

use crate::{RawWebhook, lossy_value};

/// The longest challenge that is answered, in bytes.
const MAX_CHALLENGE: usize = 256;

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
    /// What the event says. A number that is neither `i64` nor `u64` is the nearest `f64` here, so
    /// that `1e400` is [`f64::MAX`], and of a key that stands twice the last value is here;
    /// [`WebhookReceiver::receive_raw`](crate::WebhookReceiver::receive_raw) gives what came.
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

    /// The body of the response to a `webhook.ping`, to be sent with status 200 and as
    /// `application/json`: `{"challenge":"<the same>"}`. `None` for every other event.
    ///
    /// Send it if you have asked for webhooks here: from then on they come.
    #[must_use]
    pub fn challenge_response(&self) -> Option<String> {
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

impl TryFrom<&RawWebhook<'_>> for IncomingWebhook {
    type Error = WebhookError;

    /// [`WebhookError::SerializationError`] when a text in the data is no Unicode, or arrays and
    /// objects are nested more than 128 deep, a batch's own three levels counted.
    fn try_from(raw: &RawWebhook<'_>) -> Result<Self> {
        Ok(Self {
            id: raw.id.clone().into(),
            event: raw.event.clone().into(),
            timestamp: raw.timestamp.clone().into(),
            data: lossy_value::read(raw.data)?,
            version: raw.version.clone().into(),
        })
    }
}

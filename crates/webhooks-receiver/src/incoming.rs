//! A webhook as it came in.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use webhooks_core::{BATCH_EVENT, Detail, PING_EVENT, Result, WebhookError};

use crate::lossy_value;
use crate::object::Object;

/// The longest challenge that is answered, in bytes.
const MAX_CHALLENGE: usize = 256;
/// The longest id, in bytes, so that what remembers ids is bounded.
const MAX_ID: usize = 256;

/// A webhook as it came in: one event, or a batch of them.
///
/// Fields that this version does not know are ignored. `Debug` leaves `data` out, because it may
/// hold personal data. Two are equal if their public fields are. Written as JSON it is an envelope
/// of these fields, with the numbers of `data` as they are there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Fields")]
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
    /// [`raw_data`](Self::raw_data) is what came.
    pub data: Value,
    /// The version of the envelope, `1.0`.
    pub version: String,
    #[serde(skip)]
    raw: Box<RawValue>,
}

impl IncomingWebhook {
    /// The data as it came, to the byte: with every digit of its numbers, and every key. What is
    /// made of the public `data` since does not change it.
    ///
    /// ```
    /// use serde_json::value::RawValue;
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Paid<'a> {
    ///     #[serde(borrow)]
    ///     amount: &'a RawValue,
    /// }
    ///
    /// let body = br#"{"id":"1","event":"paid","timestamp":"2024-01-01T12:00:00Z","version":"1.0",
    ///     "data":{"amount":12345678901234567890.10}}"#;
    /// let webhook = WebhookReceiver::new("secret").parse_webhook(body)?;
    /// let paid: Paid<'_> = serde_json::from_str(webhook.raw_data().get())?;
    /// assert_eq!(paid.amount.get(), "12345678901234567890.10");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn raw_data(&self) -> &RawValue {
        &self.raw
    }

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
    /// They are those that came in, whatever was made of `data` since. A parsed batch holds nothing
    /// but events; in one that was made otherwise, what is not an event is left out.
    pub fn events(&self) -> impl Iterator<Item = Self> + '_ {
        let single = (!self.is_batch()).then(|| self.clone());
        single.into_iter().chain(inner(&self.raw, self.is_batch()))
    }

    /// As [`IncomingWebhook::events`], but one event is not copied.
    pub fn into_events(self) -> impl Iterator<Item = Self> {
        let events: Vec<_> = inner(&self.raw, self.is_batch()).collect();
        let single = (!self.is_batch()).then_some(self);
        single.into_iter().chain(events)
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
}

impl PartialEq for IncomingWebhook {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.event == other.event
            && self.timestamp == other.timestamp
            && self.data == other.data
            && self.version == other.version
    }
}

impl Eq for IncomingWebhook {}

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
    let Object(envelope) = serde_json::from_str::<Object<Envelope<'_>>>(text)?;
    let webhook = envelope.webhook()?;
    if webhook.is_batch() {
        check_batch(&webhook.raw)?;
    }
    Ok(webhook)
}

/// Checks the inner envelopes in the text itself, where a key that stands twice can still be seen.
fn check_batch(data: &RawValue) -> Result<()> {
    let Object(batch) = serde_json::from_str::<Object<StrictBatch<'_>>>(data.get())?;
    for Object(event) in &batch.events {
        check_id(&event.id)?;
        if event.event == BATCH_EVENT {
            return refuse("a batch holds a batch");
        }
    }
    Ok(())
}

/// The events in the data of a batch.
fn inner(data: &RawValue, is_batch: bool) -> impl Iterator<Item = IncomingWebhook> + '_ {
    let batch = is_batch.then(|| serde_json::from_str::<Batch<'_>>(data.get()).ok());
    let events = batch.flatten().map(|batch| batch.events);
    let event = |raw: &RawValue| {
        let event = serde_json::from_str::<Object<Envelope<'_>>>(raw.get());
        event.ok().and_then(|Object(event)| event.webhook().ok())
    };
    events.unwrap_or_default().into_iter().filter_map(event)
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

/// An envelope in the text of a body.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

impl Envelope<'_> {
    fn webhook(self) -> Result<IncomingWebhook> {
        check_id(&self.id)?;
        Ok(IncomingWebhook {
            data: lossy_value::read(self.data)?,
            raw: self.data.to_owned(),
            id: self.id.into(),
            event: self.event.into(),
            timestamp: self.timestamp.into(),
            version: self.version.into(),
        })
    }
}

/// A webhook that was kept by somebody, in whatever format.
#[derive(Deserialize)]
struct Fields {
    id: String,
    event: String,
    timestamp: String,
    data: Value,
    version: String,
}

impl From<Fields> for IncomingWebhook {
    fn from(fields: Fields) -> Self {
        Self {
            // A value can always be written.
            raw: to_raw_value(&fields.data).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            id: fields.id,
            event: fields.event,
            timestamp: fields.timestamp,
            data: fields.data,
            version: fields.version,
        }
    }
}

#[derive(Deserialize)]
struct StrictBatch<'a> {
    #[serde(borrow)]
    events: Vec<Object<Envelope<'a>>>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

//! A webhook whose data is the text that came.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use webhooks_core::{BATCH_EVENT, Detail, Result, WebhookError};

use crate::object::Object;

/// The longest id, in bytes, so that what remembers ids is bounded.
const MAX_ID: usize = 256;

/// A webhook whose data is the text that came, to the byte: with every digit of its numbers, and
/// every key. It borrows the body.
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
/// // `receive_raw` verifies the signature too.
/// let webhook = WebhookReceiver::new("secret").parse_raw(body)?;
/// let paid: Paid<'_> = serde_json::from_str(webhook.data.get())?;
/// assert_eq!(paid.amount.get(), "12345678901234567890.10");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct RawWebhook<'a> {
    /// As [`IncomingWebhook::id`](crate::IncomingWebhook::id).
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// As [`IncomingWebhook::event`](crate::IncomingWebhook::event).
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// As [`IncomingWebhook::timestamp`](crate::IncomingWebhook::timestamp).
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    /// What the event says, as JSON.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// As [`IncomingWebhook::version`](crate::IncomingWebhook::version).
    #[serde(borrow)]
    pub version: Cow<'a, str>,
}

impl<'a> RawWebhook<'a> {
    /// Parses the envelope of an event or of a batch.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self> {
        // What is skipped would otherwise not be looked at.
        let text = std::str::from_utf8(body).map_err(|error| {
            WebhookError::SerializationError(Detail::with_source("the body is not utf-8", error))
        })?;
        let Object(webhook) = serde_json::from_str::<Object<Self>>(text)?;
        check_id(&webhook.id)?;
        if webhook.is_batch() {
            webhook.check_batch()?;
        }
        Ok(webhook)
    }

    /// Whether this is a batch of events.
    #[must_use]
    pub fn is_batch(&self) -> bool {
        self.event == BATCH_EVENT
    }

    /// The events of a batch, or this one event. In a batch that was not parsed as one, what is no
    /// batch has no events.
    pub fn into_events(self) -> impl Iterator<Item = Self> {
        let inner = match self.is_batch() {
            true => self.inner().unwrap_or_default(),
            false => Vec::new(),
        };
        let single = (!self.is_batch()).then_some(self);
        single.into_iter().chain(inner.into_iter().map(|o| o.0))
    }

    /// Checks the inner envelopes in the text itself, where a key that stands twice can still be
    /// seen.
    fn check_batch(&self) -> Result<()> {
        for Object(event) in &self.inner()? {
            check_id(&event.id)?;
            if event.is_batch() {
                return refuse("a batch holds a batch");
            }
        }
        Ok(())
    }

    fn inner(&self) -> Result<Vec<Object<Self>>> {
        let Object(batch) = serde_json::from_str::<Object<Batch<'a>>>(self.data.get())?;
        Ok(batch.events)
    }
}

impl fmt::Debug for RawWebhook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The data may be personal.
        f.debug_struct("RawWebhook")
            .field("id", &self.id)
            .field("event", &self.event)
            .field("timestamp", &self.timestamp)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<Object<RawWebhook<'a>>>,
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

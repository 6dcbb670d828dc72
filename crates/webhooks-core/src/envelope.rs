//! The body of a request.
//!
//! `{"id":"webhook_<uuid v7>","event":"user.created","timestamp":"2024-01-01T12:00:00.000Z",
//! "data":{...},"version":"1.0"}`, made once per event: every endpoint and every retry gets the
//! same bytes.

use std::cell::Cell;
use std::io::{self, Write};

use bytes::Bytes;
use serde::Serialize;

use crate::{BATCH_EVENT, EventId, EventType, Result, Timestamp, WebhookError, check_data};

/// The version of the envelope.
/// Receivers may rely on its fields; a change that breaks them would be another version.
pub const ENVELOPE_VERSION: &str = "1.0";

/// The most bytes that a thread keeps to write envelopes into.
///
/// One huge event must not leave its size behind with every thread of a runtime.
const MAX_SCRATCH: usize = 16 * 1_024;

/// Bytes of an envelope beside its event type and its data. The outboxes' SQL has the same number.
const AROUND: usize = 127;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes the envelope of one event, of at most `limit` bytes.
///
/// # Errors
///
/// [`WebhookError::SerializationError`] when `data` cannot be written as JSON, and
/// [`WebhookError::InvalidEvent`] when the envelope is longer than `limit`, or the data breaks the
/// rule of [`check_data`].
///
/// The limit counts the whole envelope in bytes.
///
/// ```
/// use webhooks_core::{EventId, EventType, Timestamp, envelope};
///
/// let (id, now) = (EventId::new(Timestamp::EPOCH), Timestamp::EPOCH);
/// let event_type = EventType::new("user.created")?;
/// let body = envelope(id, &event_type, now, &"some data", 256 << 10)?;
/// assert!(body.ends_with(br#""data":"some data","version":"1.0"}"#));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
pub fn envelope(
    id: EventId,
    event_type: &EventType,
    timestamp: Timestamp,
    data: &(impl Serialize + ?Sized),
    limit: usize,
) -> Result<Bytes> {
    make(id, event_type, timestamp, data, limit, check_data)
}

/// As [`envelope`], for the data of an event that was committed already: neither a limit nor the
/// rule of [`check_data`] applies any more.
///
/// # Errors
///
/// [`WebhookError::SerializationError`] when `data` cannot be written as JSON.
///
/// Its transaction cannot be undone any more, so that a rule would only lose the event.
pub fn committed_envelope(
    id: EventId,
    event_type: &EventType,
    timestamp: Timestamp,
    data: &(impl Serialize + ?Sized),
) -> Result<Bytes> {
    make(id, event_type, timestamp, data, usize::MAX, |_| Ok(()))
}

/// Refuses an event whose envelope would be longer than `limit` bytes, with data of so many bytes,
/// before it is written: for an outbox, which stores the data alone.
///
/// # Errors
///
/// [`WebhookError::InvalidEvent`] that names the length and the limit.
pub fn check_envelope_bytes(event_type: &str, data: usize, limit: usize) -> Result<()> {
    let bytes = data.saturating_add(AROUND + event_type.len());
    if bytes <= limit {
        return Ok(());
    }
    let text = format!("the event's body is {bytes} bytes, at most {limit}");
    Err(WebhookError::InvalidEvent(text.into()))
}

fn make(
    id: EventId,
    event_type: &EventType,
    timestamp: Timestamp,
    data: &(impl Serialize + ?Sized),
    limit: usize,
    check: fn(&[u8]) -> Result<()>,
) -> Result<Bytes> {
    let mut body = Bounded {
        bytes: SCRATCH.take(),
        limit,
        exceeded: false,
    };
    let written = write(&mut body, id, event_type, timestamp, data, check);
    // Without spare room: events may wait in memory by the million.
    let written = written.map(|()| Bytes::copy_from_slice(&body.bytes));
    // Set back on every way out, also after an error: only a panic of the data's own `Serialize`
    // costs the thread its buffer.
    if body.bytes.capacity() <= MAX_SCRATCH {
        body.bytes.clear();
        SCRATCH.set(body.bytes);
    }
    match written {
        Ok(body) => Ok(body),
        // By the flag and not by the error: serde wraps it on its way up.
        Err(_) if body.exceeded => Err(WebhookError::InvalidEvent(
            format!("the event's body is longer than {limit} bytes").into(),
        )),
        Err(error) => Err(error),
    }
}

fn write(
    body: &mut Bounded,
    id: EventId,
    event_type: &EventType,
    timestamp: Timestamp,
    data: &(impl Serialize + ?Sized),
    check: fn(&[u8]) -> Result<()>,
) -> Result<()> {
    // Ids, event types and timestamps need no escapes.
    write!(
        body,
        r#"{{"id":"{id}","event":"{event_type}","timestamp":"{timestamp}","data":"#
    )
    .map_err(serde_json::Error::io)?;
    let start = body.bytes.len();
    serde_json::to_writer(&mut *body, data)?;
    // On the bytes as they are sent, whatever type they came from: a `RawValue` brings its own.
    check(body.bytes.get(start..).unwrap_or_default())?;
    write!(body, r#","version":"{ENVELOPE_VERSION}"}}"#).map_err(serde_json::Error::io)?;
    Ok(())
}

/// The `data` of an event's envelope, as it was sent. `None` of what is no such envelope, and once it
/// was erased.
///
/// ```
/// use webhooks_core::{EventId, EventType, Timestamp, envelope, envelope_data};
///
/// let (id, now) = (EventId::new(Timestamp::EPOCH), Timestamp::EPOCH);
/// let event_type = EventType::new("user.created")?;
/// let body = envelope(id, &event_type, now, &"some data", 256 << 10)?;
/// assert_eq!(envelope_data(&body), Some(&br#""some data""#[..]));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[must_use]
pub fn envelope_data(payload: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = br#","data":"#;
    const BEHIND: usize = r#","version":"1.0"}"#.len();
    // The first one: what stands before the data cannot hold a quotation mark.
    let start = payload
        .windows(BEFORE.len())
        .position(|part| part == BEFORE)?;
    payload.get(start + BEFORE.len()..payload.len().checked_sub(BEHIND)?)
}

/// Writes the envelope of a batch around the bytes of its events' envelopes.
///
/// The parts are the stored bytes, never written again: a signature over another spelling of the
/// same JSON would be of something that was never sent.
#[must_use]
pub fn batch_envelope<'a>(
    id: EventId,
    timestamp: Timestamp,
    events: impl IntoIterator<Item = &'a Bytes>,
) -> Bytes {
    let mut body = format!(
        r#"{{"id":"{id}","event":"{BATCH_EVENT}","timestamp":"{timestamp}","data":{{"events":["#
    )
    .into_bytes();
    for (n, event) in events.into_iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        body.extend_from_slice(event);
    }
    body.extend_from_slice(br#"]},"version":""#);
    body.extend_from_slice(ENVELOPE_VERSION.as_bytes());
    body.extend_from_slice(br#""}"#);
    body.into()
}

/// Refuses to grow over its limit, so that a huge value is not first written whole.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        // Before it is copied, so that no more than the limit is ever in memory.
        if self.bytes.len() + part.len() > self.limit {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn make(data: &(impl Serialize + ?Sized), limit: usize) -> Result<Bytes> {
        let at = Timestamp::from_millis(1_704_110_400_000);
        let event_type = EventType::new("user.created").unwrap();
        envelope(
            EventId::from_uuid(uuid::Uuid::nil()),
            &event_type,
            at,
            data,
            limit,
        )
    }

    #[test]
    fn has_exactly_the_promised_form() {
        assert_eq!(
            make(&json!({ "user_id": "123" }), 1_000).unwrap(),
            concat!(
                r#"{"id":"webhook_00000000-0000-0000-0000-000000000000","event":"user.created","#,
                r#""timestamp":"2024-01-01T12:00:00.000Z","data":{"user_id":"123"},"version":"1.0"}"#
            )
        );
    }

    #[test]
    fn raw_json_is_kept_to_the_byte() {
        let raw = RawValue::from_string(r#"{"b":1e400, "a":1,"a":2}"#.into()).unwrap();
        let body = make(&raw, 1_000).unwrap();
        assert!(std::str::from_utf8(&body).unwrap().contains(raw.get()));
    }

    #[test]
    fn the_limit_is_exact_and_named() {
        let length = make("x", 1_000).unwrap().len();
        assert!(make("x", length).is_ok());
        let error = make("x", length - 1).unwrap_err().to_string();
        assert!(
            error.contains(&format!("longer than {} bytes", length - 1)),
            "{error}"
        );
    }

    #[test]
    fn a_batch_holds_the_bytes_of_its_events() {
        let event = make(&json!(1), 1_000).unwrap();
        let id = EventId::new(Timestamp::EPOCH);
        let body = batch_envelope(id, Timestamp::EPOCH, [&event, &event]);
        let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(parsed["event"], BATCH_EVENT);
        assert_eq!(parsed["data"]["events"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_envelope_is_as_long_as_the_check_says() {
        let event_type = EventType::new("user.created").unwrap();
        let (id, now) = (EventId::new(Timestamp::EPOCH), Timestamp::EPOCH);
        let body = envelope(id, &event_type, now, "some data", usize::MAX).unwrap();
        let data = r#""some data""#.len();
        check_envelope_bytes("user.created", data, body.len()).unwrap();
        let refused = check_envelope_bytes("user.created", data, body.len() - 1);
        let expected = format!("is {} bytes, at most {}", body.len(), body.len() - 1);
        assert!(refused.unwrap_err().to_string().contains(&expected));
    }
}

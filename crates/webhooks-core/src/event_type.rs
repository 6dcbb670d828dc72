//! The type of an event.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Result, WebhookError};

/// The event type of a batch, whose `data` is `{"events":[<envelopes>]}`.
pub const BATCH_EVENT: &str = "webhook.batch";
/// The event type of the request that verifies an endpoint, whose `data` is
/// `{"challenge":"<text>"}`. The response is 2xx and the same as JSON.
pub const PING_EVENT: &str = "webhook.ping";
/// The longest event type, in characters.
/// Counted in characters and not in bytes; as all that are allowed are ASCII, the two are the same
/// for a valid type.
pub const MAX_EVENT_TYPE: usize = 256;

/// The type of an event, such as `user.created`.
///
/// 1 to 256 characters; segments of `A-Z a-z 0-9 _ -`, joined by single dots.
///
/// ```
/// use webhooks_core::EventType;
///
/// let event_type = EventType::new("order.line-item.added")?;
/// assert_eq!(event_type.as_str(), "order.line-item.added");
/// assert!(EventType::new("order..added").is_err());
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(Arc<str>);

impl EventType {
    /// Checks and keeps an event type.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] that names the broken rule.
    pub fn new(event_type: &str) -> Result<Self> {
        match problem(event_type) {
            None => Ok(Self(event_type.into())),
            Some(problem) => Err(WebhookError::InvalidEvent(problem.into())),
        }
    }

    /// As [`new`](Self::new), of an event that a caller sends. [`BATCH_EVENT`] and [`PING_EVENT`]
    /// are the system's own: a receiver takes the events out of the one and answers the other.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] that names the broken rule.
    pub fn sent(event_type: &str) -> Result<Self> {
        // A caller's event of such a type would be unpacked or answered by receivers, and never
        // handled.
        if [BATCH_EVENT, PING_EVENT].contains(&event_type) {
            let text = format!("event type {event_type} is the system's own");
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        Self::new(event_type)
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule that `event_type` breaks, if it breaks one.
///
/// The order of the checks is that of what helps most: a text that is much too long is not searched
/// for a wrong character first. None of the texts quotes more than one character of the input.
pub(crate) fn problem(event_type: &str) -> Option<String> {
    let length = event_type.chars().count();
    if length == 0 {
        return Some("event type is empty, it needs 1 to 256 characters".into());
    }
    if length > MAX_EVENT_TYPE {
        return Some(format!(
            "event type is {length} characters, at most {MAX_EVENT_TYPE}"
        ));
    }
    if event_type.split('.').any(str::is_empty) {
        return Some("event type has an empty segment; single dots join its segments".into());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let wrong = event_type.chars().find(|c| !allowed(*c))?;
    Some(format!(
        "event type holds {wrong:?}; its segments hold A-Z a-z 0-9 _ -"
    ))
}

impl Deref for EventType {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<String> for EventType {
    type Error = WebhookError;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.as_str().into()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_segments_of_the_alphabet_are_taken() {
        for good in ["a", "user.created", "A-Z_9.x.y", &"a".repeat(256)] {
            assert_eq!(EventType::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_rule() {
        let long = "a".repeat(257);
        let cases = [
            ("", "empty"),
            (".", "empty segment"),
            ("user.", "empty segment"),
            ("a..b", "empty segment"),
            ("user created", "' '"),
            ("user.*", "'*'"),
            ("é", "'é'"),
            (long.as_str(), "257 characters, at most 256"),
        ];
        for (bad, rule) in cases {
            let error = EventType::new(bad).unwrap_err().to_string();
            assert!(error.contains(rule), "{bad}: {error}");
        }
    }
}

//! What is sent with an event, by every way of sending.

use std::time::Duration;

use crate::retry::MAX_RETRIES;
use crate::text_rule::{MAX_DELAY, name_problem};
use crate::{EventType, Priority, Result, TraceContext, WebhookError};

/// What is sent, besides the data: by a system, inside a transaction, and by the SQL function
/// `webhook_send`, which all have these bounds.
#[derive(Clone, Debug)]
pub struct SendOptions<'a> {
    /// The type of the event; none of the system's own, `webhook.batch` and `webhook.ping`.
    pub event_type: &'a str,
    /// For whom it is sent, if for anybody: 1 to 256 bytes without control characters.
    pub tenant: Option<&'a str>,
    /// Sends to this endpoint alone, whatever its filters say. A transaction cannot say so.
    pub endpoint_id: Option<&'a str>,
    /// How urgent it is.
    pub priority: Priority,
    /// How long it waits before its first attempt, at most 30 days.
    pub delay: Duration,
    /// The same key of the same tenant sends nothing again for 24 h; 1 to 256 bytes without
    /// control characters.
    pub idempotency_key: Option<&'a str>,
    /// Retries after the first attempt, at most 1,000; `None` means those of the system that
    /// delivers it.
    pub max_retries: Option<u32>,
    /// Events with the same key arrive in the order in which they were stored, at endpoints that
    /// [order by it](crate::OrderBy::Key); 1 to 256 bytes without control characters.
    pub ordering_key: Option<&'a str>,
    /// The trace in which it is sent.
    pub trace: Option<&'a TraceContext>,
}

impl<'a> SendOptions<'a> {
    /// An event of this type, of normal priority, to all who take it.
    ///
    /// ```
    /// use webhooks_core::SendOptions;
    ///
    /// let options = SendOptions {
    ///     tenant: Some("org_1"),
    ///     ..SendOptions::new("user.created")
    /// };
    /// assert_eq!(options.validate().unwrap().as_str(), "user.created");
    /// ```
    #[must_use]
    pub const fn new(event_type: &'a str) -> Self {
        Self {
            event_type,
            tenant: None,
            endpoint_id: None,
            priority: Priority::Normal,
            delay: Duration::ZERO,
            idempotency_key: None,
            max_retries: None,
            ordering_key: None,
            trace: None,
        }
    }

    /// Checks the bounds, but for the endpoint, which the system looks up; the type of the event.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] that names the field and its bound.
    pub fn validate(&self) -> Result<EventType> {
        let event_type = EventType::sent(self.event_type)?;
        let problem = None
            .or_else(|| name_problem("tenant", self.tenant?))
            .or_else(|| name_problem("idempotency key", self.idempotency_key?))
            .or_else(|| name_problem("ordering key", self.ordering_key?))
            .or_else(|| {
                let (seconds, most) = (self.delay.as_secs(), MAX_DELAY.as_secs());
                let is_too_long = self.delay > MAX_DELAY;
                is_too_long.then(|| format!("delay is {seconds} s, it needs 0 to {most}"))
            })
            .or_else(|| {
                let retries = self.max_retries.filter(|n| *n > MAX_RETRIES)?;
                Some(format!(
                    "max_retries is {retries}, it needs 0 to {MAX_RETRIES}"
                ))
            });
        match problem {
            None => Ok(event_type),
            Some(problem) => Err(WebhookError::InvalidEvent(problem.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vectors<T> {
        cases: Vec<T>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        id: String,
        #[serde(default)]
        event_type: Option<String>,
        #[serde(default)]
        delay_ms: u64,
        #[serde(default)]
        max_retries: Option<u32>,
        expect: Option<String>,
    }

    #[derive(serde::Deserialize)]
    struct Name {
        id: String,
        text: String,
        expect: Option<String>,
    }

    fn says(options: &SendOptions<'_>) -> Option<String> {
        match options.validate().err()? {
            WebhookError::InvalidEvent(text) => Some(text.to_string()),
            error => Some(format!("{error:?}")),
        }
    }

    #[test]
    fn options_have_the_rule_of_the_vectors() {
        let text = include_str!("../../../tests/vectors/send_options.json");
        for case in serde_json::from_str::<Vectors<Case>>(text).unwrap().cases {
            let options = SendOptions {
                delay: Duration::from_millis(case.delay_ms),
                max_retries: case.max_retries,
                ..SendOptions::new(case.event_type.as_deref().unwrap_or("a"))
            };
            assert_eq!(says(&options), case.expect, "{}", case.id);
        }
    }

    #[test]
    fn names_have_the_rule_of_the_vectors() {
        let text = include_str!("../../../tests/vectors/names.json");
        for case in serde_json::from_str::<Vectors<Name>>(text).unwrap().cases {
            let expect = |field: &str| Some(format!("{field} {}", case.expect.as_ref()?));
            let tenant = SendOptions {
                tenant: Some(&case.text),
                ..SendOptions::new("a")
            };
            assert_eq!(says(&tenant), expect("tenant"), "{}", case.id);
            let key = SendOptions {
                idempotency_key: Some(&case.text),
                ..SendOptions::new("a")
            };
            assert_eq!(says(&key), expect("idempotency key"), "{}", case.id);
        }
    }
}

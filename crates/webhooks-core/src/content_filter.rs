//! Which events an endpoint wants, by what is in them.

mod decimal;
mod expression;
mod reading;
mod scalar;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use self::expression::Expression;
use crate::{EventContent, Result, WebhookError};

/// A condition on the data of events and on their own fields: an endpoint's `filter`, beside its
/// `events`.
///
/// It is a JSON object in the form of the event: `id`, `event` (its type), `timestamp` and `data`
/// are those of the envelope, `tenant` is for whom the event was sent. A bare value at a field says
/// that the field is equal to it, several keys say that all of it is so, and an object with
/// operators says what it does:
///
/// | operator | holds if the field is |
/// |---|---|
/// | `$eq`, `$ne` | this value; not this value, or not there |
/// | `$in`, `$nin` | one of these values; none of them, or not there |
/// | `$gt`, `$gte`, `$lt`, `$lte` | a number as this one is, or a string, and greater, .. |
/// | `$startsWith`, `$endsWith` | a string that starts or ends with this one, or one of these |
/// | `$exist` | there (`true`), null too, or not there (`false`) |
/// | `$and`, `$or`, `$not` | all of these, one of these, not this |
///
/// A condition on a field that is an array holds if it holds of one of its elements; `$ne`, `$nin`
/// and `$not` are the opposite of the same without them. Numbers are compared by their value, to the
/// last digit, and strings by their code points; `"7"` is not `7`. docs/content-filters.md of the
/// repository has all of it.
///
/// A filter has at most 16,384 bytes of JSON without spaces, 16 levels, 64 operators and 256 values.
/// A number in it is a 64-bit integer, or has at most 15 digits, of which the last counts
/// 10^-22 to 10^22.
///
/// ```
/// use serde_json::json;
/// use webhooks_core::{ContentFilter, WebhookEndpoint};
///
/// let endpoint = WebhookEndpoint {
///     id: "big-orders".into(),
///     url: "https://example.com/hook".into(),
///     secret: "a secret of this endpoint alone".into(),
///     events: vec!["order.*".into()],
///     filter: Some(ContentFilter::new(json!({
///         "data": { "order": { "total": { "$gte": 100 }, "currency": { "$in": ["EUR", "CHF"] } } },
///     }))?),
///     ..WebhookEndpoint::default()
/// };
/// endpoint.validate()?;
/// let error = ContentFilter::new(json!({ "data": { "total": { "$over": 100 } } })).unwrap_err();
/// assert!(error.to_string().contains("filter has the operator \"$over\""));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
///
/// In JSON it is the expression itself. One that breaks a rule can be read, so that what a later
/// version has stored stays whole; it passes no event, and [`validate`](Self::validate) refuses it,
/// as does [`WebhookEndpoint::validate`](crate::WebhookEndpoint::validate).
#[derive(Clone)]
pub struct ContentFilter(Arc<Inner>);

struct Inner {
    /// As it was given.
    json: Value,
    /// The same as it is asked, or what is wrong with it. Made once, however many events are
    /// matched with it and however often the definition is copied.
    read: Result<Expression, String>,
}

impl ContentFilter {
    /// Checks and keeps an expression.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidFilter`] that names the broken rule or bound.
    pub fn new(expression: Value) -> Result<Self> {
        let filter = Self::kept(expression);
        filter.validate()?;
        Ok(filter)
    }

    fn kept(json: Value) -> Self {
        let read = reading::read(&json);
        Self(Arc::new(Inner { json, read }))
    }

    /// Checks one that came from elsewhere.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn validate(&self) -> Result<()> {
        match &self.0.read {
            Ok(_) => Ok(()),
            Err(problem) => Err(WebhookError::InvalidFilter(problem.clone().into())),
        }
    }

    /// Whether an event passes. None passes a filter that is not valid.
    #[must_use]
    pub fn matches(&self, content: &EventContent<'_>) -> bool {
        match (&self.0.read, content.root()) {
            (Ok(expression), Some(root)) => expression.holds(Some(root)),
            _ => false,
        }
    }

    /// The expression as it was given.
    #[must_use]
    pub fn expression(&self) -> &Value {
        &self.0.json
    }
}

impl PartialEq for ContentFilter {
    fn eq(&self, other: &Self) -> bool {
        self.0.json == other.0.json
    }
}

impl Serialize for ContentFilter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(to)
    }
}

impl<'de> Deserialize<'de> for ContentFilter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::kept)
    }
}

/// From JSON.
impl FromStr for ContentFilter {
    type Err = WebhookError;

    fn from_str(json: &str) -> Result<Self> {
        Self::new(serde_json::from_str(json)?)
    }
}

/// As JSON.
impl fmt::Display for ContentFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.json.fmt(f)
    }
}

impl fmt::Debug for ContentFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;

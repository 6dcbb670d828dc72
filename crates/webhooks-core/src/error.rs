//! What can go wrong, for callers and for storages.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A result whose error is [`WebhookError`].
pub type Result<T, E = WebhookError> = std::result::Result<T, E>;

/// What went wrong.
///
/// No message ever holds a secret or a payload. A level prints only itself; what caused it is at
/// [`source`](Error::source).
///
/// ```
/// use webhooks_core::WebhookError;
///
/// let error = WebhookError::not_tried("no descriptor is free");
/// assert!(error.is_transient() && !error.outcome_unknown());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WebhookError {
    /// A request could not be made or was not accepted.
    DeliveryFailed(Detail),
    /// The endpoint has no token left; try again later.
    RateLimitExceeded,
    /// The endpoint's circuit is open; try again later.
    CircuitBreakerOpen,
    /// A signature header is missing, malformed or made with another secret.
    InvalidSignature,
    /// No endpoint has this id.
    EndpointNotFound(Detail),
    /// Another definition is stored under this endpoint id.
    EndpointExists(Detail),
    /// The endpoint's definition was changed by somebody else all the while; nothing was stored.
    EndpointChanged(Detail),
    /// No delivery has this id.
    DeliveryNotFound(Detail),
    /// The event has a delivery to this endpoint already; that may be sent again.
    DeliveryExists(Detail),
    /// The payload was erased, so that nothing can be sent of it.
    PayloadErased(Detail),
    /// No event has this id.
    EventNotFound(Detail),
    /// The idempotency key was used for something else within 24 h; nothing was stored.
    IdempotencyKeyReused(Detail),
    /// The storage could not do what it was asked; [`WebhookError::is_transient`] tells whether
    /// trying again may help.
    StorageError(Detail),
    /// A value could not be written as JSON, or a text is not the JSON it should be.
    SerializationError(Detail),
    /// A setting is out of its bounds.
    InvalidConfig(Detail),
    /// A field of an endpoint is out of its bounds.
    InvalidEndpoint(Detail),
    /// A field of an event is out of its bounds.
    InvalidEvent(Detail),
    /// An event filter is none of `*`, `prefix.*` and an exact event type, or a content filter breaks
    /// a rule of its own.
    InvalidFilter(Detail),
    /// A field of a query of deliveries is out of its bounds.
    InvalidQuery(Detail),
    /// A text is not an id of the kind that is asked for.
    InvalidId(Detail),
    /// A text is none of the names of what it should be, such as a
    /// [state](crate::DeliveryState).
    UnknownName(Detail),
    /// A bounded queue is full; nothing was stored, try again later.
    Overloaded(Detail),
    /// The system was shut down; nothing was stored, unless the storage was still at it when the
    /// shutdown gave up waiting for it.
    ShutDown(Detail),
    /// The endpoint has not answered the challenge that would make it active.
    NotVerified(Detail),
    /// There are no random bytes, which keys and nonces need.
    RandomSource(Detail),
}

impl WebhookError {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimitExceeded
            | Self::CircuitBreakerOpen
            | Self::Overloaded(_)
            | Self::EndpointChanged(_) => true,
            Self::StorageError(detail) | Self::DeliveryFailed(detail) => detail.transient,
            _ => false,
        }
    }

    /// Whether what was asked for may have been done all the same: the answer was lost, or the
    /// failure came after effects. It says nothing about [trying again](Self::is_transient): a pool
    /// without a free connection passes and has stored nothing, a script that failed half way may
    /// have stored something and fails again.
    ///
    /// A [`StorageError`](Self::StorageError) is taken for such a one unless who made it
    /// [says otherwise](Self::without_effect); of the others none is, unless it was
    /// [said](Self::perhaps_done).
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        // What was said about this call goes before what its kind says.
        let said = self.kind().1.and_then(|detail| detail.outcome_unknown);
        // A storage that says nothing may have done it: taken for undone, a delivery would be sent
        // without being known, or stay leased to a process that does not know of it.
        said.unwrap_or(matches!(self, Self::StorageError(_)))
    }

    /// The same error, of a call that has certainly changed nothing.
    #[must_use]
    pub fn without_effect(self) -> Self {
        self.with_outcome(false)
    }

    /// The same error, of a call that may have done what it was asked, in part or whole.
    #[must_use]
    pub fn perhaps_done(self) -> Self {
        self.with_outcome(true)
    }

    fn with_outcome(mut self, unknown: bool) -> Self {
        if let Some(detail) = self.detail_mut() {
            detail.outcome_unknown = Some(unknown);
        }
        self
    }

    const fn detail_mut(&mut self) -> Option<&mut Detail> {
        match self {
            Self::DeliveryFailed(d)
            | Self::EndpointNotFound(d)
            | Self::EndpointExists(d)
            | Self::EndpointChanged(d)
            | Self::DeliveryNotFound(d)
            | Self::DeliveryExists(d)
            | Self::PayloadErased(d)
            | Self::EventNotFound(d)
            | Self::IdempotencyKeyReused(d)
            | Self::StorageError(d)
            | Self::SerializationError(d)
            | Self::InvalidConfig(d)
            | Self::InvalidEndpoint(d)
            | Self::InvalidEvent(d)
            | Self::InvalidFilter(d)
            | Self::InvalidId(d)
            | Self::InvalidQuery(d)
            | Self::UnknownName(d)
            | Self::Overloaded(d)
            | Self::ShutDown(d)
            | Self::NotVerified(d)
            | Self::RandomSource(d) => Some(d),
            _ => None,
        }
    }

    /// A storage that gave another number of answers than it was asked for: whose they are, nobody
    /// knows.
    #[must_use]
    pub fn wrong_number_of_answers(asked: usize, answered: usize) -> Self {
        let text = format!("the storage gave {answered} answers to {asked} questions");
        Self::StorageError(text.into())
    }

    /// A storage failure that may pass: a lost connection, a timeout, a restart.
    #[must_use]
    pub fn transient_storage(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let detail = Detail {
            transient: true,
            ..Detail::with_source(message, source)
        };
        Self::StorageError(detail)
    }

    /// A storage failure that stays until somebody mends its cause.
    #[must_use]
    pub fn permanent_storage(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::StorageError(Detail::with_source(message, source))
    }

    /// A request that was not sent, for something that is missing on this side, and may be there
    /// later.
    #[must_use]
    pub fn not_tried(message: impl Into<String>) -> Self {
        Self::DeliveryFailed(Detail {
            transient: true,
            ..Detail::from(message.into())
        })
    }

    fn kind(&self) -> (&'static str, Option<&Detail>) {
        match self {
            Self::DeliveryFailed(d) => ("delivery failed", Some(d)),
            Self::RateLimitExceeded => ("rate limit exceeded", None),
            Self::CircuitBreakerOpen => ("circuit breaker is open", None),
            Self::InvalidSignature => ("invalid signature", None),
            Self::EndpointNotFound(d) => ("endpoint not found", Some(d)),
            Self::EndpointExists(d) => ("endpoint exists with another definition", Some(d)),
            Self::EndpointChanged(d) => ("endpoint was changed meanwhile", Some(d)),
            Self::DeliveryNotFound(d) => ("delivery not found", Some(d)),
            Self::DeliveryExists(d) => ("delivery exists", Some(d)),
            Self::PayloadErased(d) => ("payload erased", Some(d)),
            Self::EventNotFound(d) => ("event not found", Some(d)),
            Self::IdempotencyKeyReused(d) => ("idempotency key reused", Some(d)),
            Self::StorageError(d) => ("storage error", Some(d)),
            Self::SerializationError(d) => ("serialization error", Some(d)),
            Self::InvalidConfig(d) => ("invalid configuration", Some(d)),
            Self::InvalidEndpoint(d) => ("invalid endpoint", Some(d)),
            Self::InvalidEvent(d) => ("invalid event", Some(d)),
            Self::InvalidFilter(d) => ("invalid event filter", Some(d)),
            Self::InvalidQuery(d) => ("invalid query", Some(d)),
            Self::InvalidId(d) => ("invalid id", Some(d)),
            Self::UnknownName(d) => ("unknown name", Some(d)),
            Self::Overloaded(d) => ("overloaded", Some(d)),
            Self::ShutDown(d) => ("shut down", Some(d)),
            Self::NotVerified(d) => ("endpoint is not verified", Some(d)),
            Self::RandomSource(d) => ("no random bytes", Some(d)),
        }
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            (kind, Some(detail)) => write!(f, "{kind}: {detail}"),
            (kind, None) => f.write_str(kind),
        }
    }
}

impl Error for WebhookError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.kind().1?.source.as_deref()?;
        Some(source)
    }
}

impl From<serde_json::Error> for WebhookError {
    fn from(error: serde_json::Error) -> Self {
        // The message of serde_json may quote the input, which may be a payload: only the place
        // and the kind are kept.
        let at = format!(
            "{:?} error at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        );
        Self::SerializationError(at.into())
    }
}

/// The text of an error and what caused it.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    message: String,
    /// Shared, since one failed commit is the answer to many callers.
    source: Option<Arc<dyn Error + Send + Sync>>,
    transient: bool,
    /// Whether the call may have had effects, where that was said.
    outcome_unknown: Option<bool>,
}

impl Detail {
    /// A text with its cause.
    #[must_use]
    pub fn with_source(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(Arc::from(source.into())),
            ..Self::default()
        }
    }
}

impl From<String> for Detail {
    fn from(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

impl From<&str> for Detail {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_source_and_prints_only_itself() {
        let cause = std::io::Error::other("connection reset");
        let error = WebhookError::transient_storage("cannot settle", cause);
        assert_eq!(error.to_string(), "storage error: cannot settle");
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(error.is_transient());
    }

    #[test]
    fn what_was_perhaps_done_is_a_fact_of_its_own() {
        let timeout = WebhookError::transient_storage("no connection became free", "timeout");
        assert!(timeout.outcome_unknown(), "unless it is said");
        let timeout = timeout.without_effect();
        assert!(timeout.is_transient() && !timeout.outcome_unknown());
        let script = WebhookError::permanent_storage("the script failed", "half way");
        assert!(!script.is_transient() && script.outcome_unknown());
        let full = WebhookError::Overloaded("full".into());
        assert!(!full.outcome_unknown() && full.perhaps_done().outcome_unknown());
        assert!(!WebhookError::InvalidEvent("too long".into()).outcome_unknown());
    }

    #[test]
    fn a_json_error_does_not_quote_its_input() {
        let error = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert!(!WebhookError::from(error).to_string().contains("hunter2"));
    }
}

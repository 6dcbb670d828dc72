//! Why a request was refused.

use std::error::Error;
use std::fmt;

use http::StatusCode;
use webhooks_core::WebhookError;

use crate::SignatureError;

/// Why a request was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The signature was refused; nothing of the body was looked at.
    Signature(SignatureError),
    /// The body is longer than the receiver takes.
    BodyTooLarge {
        /// The most bytes that the receiver takes.
        limit: usize,
    },
    /// The body could not be read, or what was signed is not a webhook.
    Body(WebhookError),
}

impl ReceiveError {
    /// The status to respond with: 401 for every signature, 413 for a long body, else 400.
    ///
    /// Respond with the status alone: the reason helps only who tries to get past it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(_) => f.write_str("the signature was refused"),
            Self::BodyTooLarge { limit } => {
                write!(f, "the body is longer than {limit} bytes")
            }
            Self::Body(_) => f.write_str("the body is not a webhook"),
        }
    }
}

impl Error for ReceiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signature(error) => Some(error),
            Self::BodyTooLarge { .. } => None,
            Self::Body(error) => Some(error),
        }
    }
}

impl From<SignatureError> for ReceiveError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl From<ReceiveError> for WebhookError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Signature(error) => error.into(),
            ReceiveError::Body(error) => error,
            ReceiveError::BodyTooLarge { .. } => Self::SerializationError(error.to_string().into()),
        }
    }
}

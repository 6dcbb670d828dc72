//! Why a signature was refused.

use std::error::Error;
use std::fmt;

use webhooks_core::WebhookError;

/// Why a request's signature was refused: for logs and metrics, never for the sender, to whom every
/// refusal is the same 401.
///
/// The variants stand in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// The receiver has no secret and no public key that could verify anything.
    EmptySecret,
    /// A header that the scheme needs is absent or blank.
    MissingHeader,
    /// A header stands on several lines.
    DuplicateHeader,
    /// A header is longer than the scheme allows.
    HeaderTooLong,
    /// A header holds other characters, other grammar or more items than the scheme allows.
    MalformedHeader,
    /// The signature carries no time.
    MissingTimestamp,
    /// The signature carries several times.
    DuplicateTimestamp,
    /// The time is not 1 to 12 canonical decimal digits.
    BadTimestamp,
    /// More than 8 signatures are presented.
    TooManySignatures,
    /// No signature of the one accepted scheme is well formed.
    NoUsableSignature,
    /// The receiver's own clock stands before 1970.
    ReceiverClock,
    /// The request was signed longer ago than the tolerance allows.
    TimestampTooOld,
    /// The request was signed further in the future than the tolerance allows.
    TimestampInFuture,
    /// No presented signature was made with one of the receiver's secrets over these bytes.
    SignatureMismatch,
}

impl SignatureError {
    /// A short name that stays the same between versions, such as `timestamp_too_old`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EmptySecret => "empty_secret",
            Self::MissingHeader => "missing_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::HeaderTooLong => "header_too_long",
            Self::MalformedHeader => "malformed_header",
            Self::MissingTimestamp => "missing_timestamp",
            Self::DuplicateTimestamp => "duplicate_timestamp",
            Self::BadTimestamp => "bad_timestamp",
            Self::TooManySignatures => "too_many_signatures",
            Self::NoUsableSignature => "no_usable_signature",
            Self::ReceiverClock => "receiver_clock",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::SignatureMismatch => "signature_mismatch",
        }
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptySecret => "the receiver has no secret or public key that verifies anything",
            Self::MissingHeader => "a signature header is missing or blank",
            Self::DuplicateHeader => "a signature header stands on several lines",
            Self::HeaderTooLong => "a signature header is too long",
            Self::MalformedHeader => "a signature header is malformed",
            Self::MissingTimestamp => "the signature carries no timestamp",
            Self::DuplicateTimestamp => "the signature carries several timestamps",
            Self::BadTimestamp => "the timestamp is not 1 to 12 canonical digits",
            Self::TooManySignatures => "more than 8 signatures are presented",
            Self::NoUsableSignature => "no presented signature is well formed",
            Self::ReceiverClock => "the receiver's clock stands before 1970",
            Self::TimestampTooOld => "the timestamp is older than the tolerance",
            Self::TimestampInFuture => "the timestamp is further ahead than the tolerance",
            Self::SignatureMismatch => "no presented signature matches",
        })
    }
}

impl Error for SignatureError {}

impl From<SignatureError> for WebhookError {
    fn from(_: SignatureError) -> Self {
        Self::InvalidSignature
    }
}

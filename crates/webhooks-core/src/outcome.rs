//! What came of an attempt.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{DeliveryId, Timestamp};

/// What came of one attempt. A failed attempt is a value, not an error.
#[derive(Clone)]
pub struct DeliveryResult {
    /// Whether the endpoint accepted it.
    pub outcome: Outcome,
    /// The status of the response, if one came.
    pub status: Option<u16>,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// How long it took, up to the response's headers if it was accepted.
    pub duration: Duration,
    /// How long the endpoint asked to be left alone, capped at 24 h.
    pub retry_after: Option<Duration>,
    /// The first bytes of the response's body, as many as the transport keeps; 4 KiB by default.
    pub response: Bytes,
}

impl DeliveryResult {
    /// Whether the endpoint accepted it.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Delivered)
    }

    /// Why it failed, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<FailureKind> {
        match self.outcome {
            Outcome::Delivered => None,
            Outcome::Failed(kind) => Some(kind),
        }
    }
}

impl fmt::Debug for DeliveryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A response may hold what the receiver should not have said.
        f.debug_struct("DeliveryResult")
            .field("outcome", &self.outcome)
            .field("status", &self.status)
            .field("started_at", &self.started_at)
            .field("duration", &self.duration)
            .field("retry_after", &self.retry_after)
            .field("response_bytes", &self.response.len())
            .finish()
    }
}

/// Whether an attempt did what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The endpoint responded with 2xx.
    Delivered,
    /// Anything else.
    Failed(FailureKind),
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The name did not resolve.
    Dns,
    /// The name resolves to addresses that the network policy refuses; none was dialled.
    AddressRefused,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed, or the certificate is not valid for the name.
    Tls,
    /// The connection was lost before a response came.
    Reset,
    /// The attempt's deadline passed before a response came.
    Timeout,
    /// The response is not HTTP, or too large a head.
    MalformedResponse,
    /// 3xx, which is never followed.
    Redirect,
    /// 4xx other than those below.
    ClientError,
    /// 429.
    TooManyRequests,
    /// 5xx.
    ServerError,
    /// 410: the endpoint wants nothing more.
    Gone,
    /// 413 or 431: the same request can never pass.
    TooLarge,
    /// The network policy refuses the URL.
    UrlRefused,
    /// No request could be built from the endpoint.
    Unbuildable,
}

impl FailureKind {
    /// Whether a retry is pointless, so that the delivery is dead at once.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::Gone | Self::TooLarge | Self::UrlRefused | Self::Unbuildable
        )
    }

    /// Whether the circuit breaker counts it: the endpoint is unwell, not merely unwilling.
    #[must_use]
    pub const fn trips_circuit(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::AddressRefused
                | Self::Connect
                | Self::Tls
                | Self::Reset
                | Self::Timeout
                | Self::MalformedResponse
                | Self::TooManyRequests
                | Self::ServerError
        )
    }

    /// The kind's name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::AddressRefused => "address_refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::MalformedResponse => "malformed_response",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::TooManyRequests => "too_many_requests",
            Self::ServerError => "server_error",
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::UrlRefused => "url_refused",
            Self::Unbuildable => "unbuildable",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of the delivery log.
#[derive(Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// The number of the attempt, from 1, in its series.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The status of the response, if one came.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    pub failure: Option<FailureKind>,
    /// The first bytes of the response's body.
    pub response: Bytes,
    /// The lease was lost before the attempt was settled, so that another one may have run too.
    pub ambiguous: bool,
}

impl fmt::Debug for AttemptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptRecord")
            .field("delivery_id", &self.delivery_id)
            .field("number", &self.number)
            .field("started_at", &self.started_at)
            .field("duration", &self.duration)
            .field("status", &self.status)
            .field("failure", &self.failure)
            .field("response_bytes", &self.response.len())
            .field("ambiguous", &self.ambiguous)
            .finish()
    }
}

//! What came of an attempt.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::named::named;
use crate::{DeliveryId, Timestamp, WebhookDelivery, WebhookEndpoint};

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
    /// Headers of the response, as many as the transport keeps; none by default.
    pub response_headers: Vec<(String, String)>,
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

impl Outcome {
    /// What the status of a response means, at an endpoint that accepts what it says it does.
    #[must_use]
    pub fn of_status(endpoint: &WebhookEndpoint, status: u16) -> Self {
        if endpoint.accepts(status) {
            return Self::Delivered;
        }
        Self::Failed(match status {
            300..=399 => FailureKind::Redirect,
            410 => FailureKind::Gone,
            413 | 431 => FailureKind::TooLarge,
            429 => FailureKind::TooManyRequests,
            400..=499 => FailureKind::ClientError,
            500..=599 => FailureKind::ServerError,
            // A switch of protocols that nobody asked for, or no class of HTTP.
            _ => FailureKind::MalformedResponse,
        })
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

named!(FailureKind, "failure kind", {
    Dns => "dns",
    AddressRefused => "address_refused",
    Connect => "connect",
    Tls => "tls",
    Reset => "reset",
    Timeout => "timeout",
    MalformedResponse => "malformed_response",
    Redirect => "redirect",
    ClientError => "client_error",
    TooManyRequests => "too_many_requests",
    ServerError => "server_error",
    Gone => "gone",
    TooLarge => "too_large",
    UrlRefused => "url_refused",
    Unbuildable => "unbuildable",
});

/// One line of the delivery log. A storage makes one with [`new`](Self::new) and sets the rest.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// The number of the attempt, from 1, in its series.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "crate::shown::millis")]
    pub duration: Duration,
    /// The status of the response, if one came.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    pub failure: Option<FailureKind>,
    /// The first bytes of the response's body. Serialised as text.
    #[serde(serialize_with = "crate::shown::text")]
    pub response: Bytes,
    /// Headers of the response, as many as were kept.
    pub response_headers: Vec<(String, String)>,
    /// The lease was lost before the attempt was settled, so that another one may have run too.
    pub ambiguous: bool,
}

impl AttemptRecord {
    /// An attempt that started then, of which no more is known yet.
    #[must_use]
    pub const fn new(delivery_id: DeliveryId, number: u32, started_at: Timestamp) -> Self {
        Self {
            delivery_id,
            number,
            started_at,
            duration: Duration::ZERO,
            status: None,
            failure: None,
            response: Bytes::new(),
            response_headers: Vec::new(),
            ambiguous: false,
        }
    }

    /// What is written down of the attempt at a delivery that came out so.
    #[must_use]
    pub fn of(delivery: &WebhookDelivery, result: &DeliveryResult) -> Self {
        let number = delivery.attempts.saturating_add(1);
        Self {
            duration: result.duration,
            status: result.status,
            failure: result.failure(),
            response: result.response.clone(),
            response_headers: result.response_headers.clone(),
            ..Self::new(delivery.id, number, result.started_at)
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_meaning_of_its_class_or_its_own() {
        let kind = |endpoint: &WebhookEndpoint, status| match Outcome::of_status(endpoint, status) {
            Outcome::Delivered => None,
            Outcome::Failed(kind) => Some(kind),
        };
        let (plain, own) = (
            WebhookEndpoint::default(),
            WebhookEndpoint {
                accepted_statuses: vec![302, 409, 503],
                ..WebhookEndpoint::default()
            },
        );
        assert_eq!([302, 409, 503].map(|status| kind(&own, status)), [None; 3]);
        assert_eq!(kind(&own, 303), Some(FailureKind::Redirect));
        for (status, expected) in [
            (101, Some(FailureKind::MalformedResponse)),
            (200, None),
            (299, None),
            (300, Some(FailureKind::Redirect)),
            (304, Some(FailureKind::Redirect)),
            (400, Some(FailureKind::ClientError)),
            (408, Some(FailureKind::ClientError)),
            (410, Some(FailureKind::Gone)),
            (413, Some(FailureKind::TooLarge)),
            (429, Some(FailureKind::TooManyRequests)),
            (431, Some(FailureKind::TooLarge)),
            (500, Some(FailureKind::ServerError)),
            (599, Some(FailureKind::ServerError)),
            (600, Some(FailureKind::MalformedResponse)),
        ] {
            assert_eq!(kind(&plain, status), expected, "{status}");
        }
    }
}

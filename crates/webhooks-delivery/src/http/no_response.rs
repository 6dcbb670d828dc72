//! Why no response came.

use webhooks_core::FailureKind;

use crate::http::network::{ConnectFailure, Untried};

/// Why no response came to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResponse {
    /// What the endpoint, or the way to it, is to blame for.
    Failed(FailureKind),
    /// Nothing was sent, and the endpoint has no part in that.
    Untried(Untried),
}

impl From<FailureKind> for NoResponse {
    fn from(failure: FailureKind) -> Self {
        Self::Failed(failure)
    }
}

impl From<ConnectFailure> for NoResponse {
    fn from(failure: ConnectFailure) -> Self {
        Self::Failed(match failure {
            ConnectFailure::Literal => FailureKind::UrlRefused,
            ConnectFailure::Dns => FailureKind::Dns,
            ConnectFailure::Addresses => FailureKind::AddressRefused,
            ConnectFailure::Tcp => FailureKind::Connect,
            ConnectFailure::Tls => FailureKind::Tls,
            ConnectFailure::Untried(untried) => return Self::Untried(untried),
        })
    }
}

//! What tells the series of one metric apart. Every value is one of a few that are known beforehand,
//! but for the id of an endpoint.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use webhooks_core::{DeliveryEnd, DeliveryResult, StorageCall};

/// The value of a label that does not apply.
pub(crate) const NONE: &str = "none";

/// The labels of a metric, each a field.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(crate) struct $name {
                $(pub(crate) $field: &'static str),+
            }
        )+
    };
}

labels! {
    /// How something came out.
    Outcome { outcome }
    /// What came of an attempt.
    Attempted { outcome, failure, code }
    /// How a delivery ended.
    Ended { state, reason }
    /// Why a request was no attempt.
    NotMade { reason }
    /// What a circuit became.
    To { to }
    /// Who disabled an endpoint.
    By { by }
    /// How a call of the storage came out.
    Called { call, outcome }
    /// Whether a failure of the storage may pass.
    CallFailed { call, transient }
    /// What kind of connection.
    Kind { kind }
    /// In which state something is.
    State { state }
}

/// Of which endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfEndpoint {
    pub(crate) endpoint_id: Arc<str>,
}

/// Of which endpoint, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EndpointOutcome {
    pub(crate) endpoint_id: Arc<str>,
    pub(crate) outcome: &'static str,
}

/// Of which endpoint, and in which state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EndpointState {
    pub(crate) endpoint_id: Arc<str>,
    pub(crate) state: &'static str,
}

impl Outcome {
    /// Of an attempt.
    pub(crate) const fn of(result: &DeliveryResult) -> Self {
        let outcome = if result.is_delivered() {
            "delivered"
        } else {
            "failed"
        };
        Self { outcome }
    }
}

impl Attempted {
    pub(crate) fn of(result: &DeliveryResult) -> Self {
        let failure = result.failure();
        Self {
            outcome: Outcome::of(result).outcome,
            failure: failure.map_or(NONE, |failure| failure.as_str()),
            code: result.status.map_or(NONE, class),
        }
    }
}

impl Ended {
    pub(crate) fn of(end: DeliveryEnd) -> Self {
        Self {
            state: end.state().as_str(),
            reason: end.reason().unwrap_or(NONE),
        }
    }
}

impl Called {
    pub(crate) const fn of(call: &StorageCall) -> Self {
        Self {
            call: call.name,
            outcome: call.end.as_str(),
        }
    }
}

/// The class of a status.
const fn class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

//! What an endpoint's gate says, in one word.

use better_auth_webhooks::storage::{DisabledBy, EndpointRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webhooks_core::Timestamp;

/// Whether deliveries of an endpoint go, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GateState {
    /// They go.
    Open,
    /// Somebody makes them wait.
    Paused,
    /// New events make none.
    Disabled,
    /// It has not answered its challenge yet.
    Unverified,
    /// They wait until a time, as the endpoint asked for or since one of its order was given up.
    Held,
    /// Its credentials cannot be decrypted.
    Unreadable,
}

impl GateState {
    /// That of an endpoint at this time.
    pub(crate) fn of(record: &EndpointRecord, now: Timestamp) -> Self {
        let gate = &record.gate;
        match () {
            () if record.unreadable.is_some() => Self::Unreadable,
            () if gate.disabled == Some(DisabledBy::Unverified) => Self::Unverified,
            () if !record.endpoint.enabled => Self::Disabled,
            () if gate.paused => Self::Paused,
            () if gate.held_until.is_some_and(|until| until > now) => Self::Held,
            () => Self::Open,
        }
    }
}

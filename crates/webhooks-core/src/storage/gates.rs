use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::named::named;

/// What lets the deliveries of an endpoint through, besides `enabled`. A storage starts from the
/// default, or from [`anew`](Self::anew), and sets what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GateState {
    /// Deliveries wait until it is resumed.
    pub paused: bool,
    /// Why `enabled` became false, when that was not in the definition.
    pub disabled: Option<DisabledBy>,
    /// Nothing is claimed before this time.
    pub held_until: Option<Timestamp>,
    /// At most this many deliveries are leased at a time, by all workers together.
    pub max_leased: Option<u32>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// How often what processes know of the endpoint's health was declared void: by
    /// [`Enable`](GateChange::Enable), [`Reset`](GateChange::Reset), and with each new
    /// [incarnation](super::EndpointRecord::incarnation) after the first.
    #[serde(default)]
    pub epoch: u64,
}

impl GateState {
    /// What is left of it when an endpoint begins anew: nothing, in a new epoch.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            epoch: self.epoch.wrapping_add(1),
            ..Self::default()
        }
    }
}

/// Who disabled an endpoint at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisabledBy {
    /// A call of the API.
    Operator,
    /// The endpoint itself, which responded with 410.
    Gone,
    /// It has failed for too long.
    Failing,
    /// It has not answered a challenge yet. No other reason takes the place of this one, and only a
    /// definition that is saved with `enabled` lifts it.
    Unverified,
}

impl DisabledBy {
    /// Whether a process decided it by how the endpoint responded. What was decided by hand stays.
    #[must_use]
    pub const fn is_by_responses(self) -> bool {
        matches!(self, Self::Gone | Self::Failing)
    }
}

named!(DisabledBy, "reason of a disabled endpoint", {
    Operator => "operator",
    Gone => "gone",
    Failing => "failing",
    Unverified => "unverified",
});

/// A change of one endpoint's [`GateState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointGate {
    /// Whose gate.
    pub endpoint_id: Arc<str>,
    /// The [epoch](GateState::epoch) of what it was decided by: in a later one it is void, and
    /// nothing changes. `None` for what holds in any, as what is decided by hand does.
    pub epoch: Option<u64>,
    /// What changes; everything else stays.
    pub change: GateChange,
}

impl EndpointGate {
    /// Whether it was decided by answers of an epoch that is over: applied, it would hold or disable an
    /// endpoint for what its predecessor did.
    #[must_use]
    pub fn is_void(&self, gate: &GateState) -> bool {
        self.epoch.is_some_and(|epoch| epoch < gate.epoch)
    }
}

/// What changes of a [`GateState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateChange {
    /// Sets `paused`.
    Pause,
    /// Clears `paused` and `held_until`.
    Resume,
    /// Sets `enabled` to false and `disabled` to this, unless that is
    /// [`Unverified`](DisabledBy::Unverified) already. One by [responses](DisabledBy::is_by_responses)
    /// changes nothing of an endpoint that was disabled by hand.
    Disable(DisabledBy),
    /// Sets `enabled` to true, clears everything but `paused` and begins a new epoch, unless the
    /// endpoint is [unverified](DisabledBy::Unverified): only a saved definition enables that.
    Enable,
    /// Clears `held_until`, `max_leased` and `failing_since`, and begins a new epoch: circuits that
    /// processes hold open are closed.
    Reset,
    /// Moves `held_until` to this time, never to an earlier one.
    Hold {
        /// When the hold ends.
        until: Timestamp,
    },
    /// Sets or clears `max_leased`.
    LimitLeased(Option<u32>),
    /// Sets `failing_since`, unless it is set already.
    FailingSince(Timestamp),
    /// Clears `failing_since`.
    Recovered,
}

impl GateChange {
    /// The name of the change, in snake case, without what it carries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable(_) => "disable",
            Self::Enable => "enable",
            Self::Reset => "reset",
            Self::Hold { .. } => "hold",
            Self::LimitLeased(_) => "limit_leased",
            Self::FailingSince(_) => "failing_since",
            Self::Recovered => "recovered",
        }
    }

    /// Applies the change to a gate and to the definition's `enabled`. Whether that made a difference:
    /// a new revision for what makes none would be read by every process.
    ///
    /// Whether the change is [void](EndpointGate::is_void) is not looked at.
    pub fn apply(self, gate: &mut GateState, enabled: &mut bool) -> bool {
        let before = (gate.clone(), *enabled);
        // Disabled by an operator, by a save, or not yet verified: what answers say later must not hide
        // that somebody decided it, or an automatic recovery could undo it.
        let is_off_by_hand = !*enabled && !gate.disabled.is_some_and(DisabledBy::is_by_responses);
        match self {
            Self::Pause => gate.paused = true,
            Self::Resume => (gate.paused, gate.held_until) = (false, None),
            Self::Disable(by) if by.is_by_responses() && is_off_by_hand => {}
            Self::Disable(by) => {
                *enabled = false;
                if gate.disabled != Some(DisabledBy::Unverified) {
                    gate.disabled = Some(by);
                }
            }
            // Who has not answered yet is not enabled by who did not see that.
            Self::Enable if gate.disabled == Some(DisabledBy::Unverified) => {}
            Self::Enable => {
                *enabled = true;
                // A pause is an operator's, and is lifted by `Resume` alone.
                let paused = gate.paused;
                *gate = gate.anew();
                gate.paused = paused;
            }
            Self::Reset => {
                let (paused, disabled) = (gate.paused, gate.disabled);
                *gate = gate.anew();
                (gate.paused, gate.disabled) = (paused, disabled);
            }
            // Holds of several processes and answers: the longest one is what all of them asked for.
            Self::Hold { until } => gate.held_until = gate.held_until.max(Some(until)),
            Self::LimitLeased(most) => gate.max_leased = most,
            // The first failure of the series says how long it has been failing.
            Self::FailingSince(at) => {
                gate.failing_since.get_or_insert(at);
            }
            Self::Recovered => gate.failing_since = None,
        }
        // The epoch is part of the gate, so that `Enable` and `Reset` always make a difference.
        before != (gate.clone(), *enabled)
    }
}

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::{KeptEndpoint, Result, Timestamp, WebhookEndpoint, WebhookError};

/// An endpoint as the storage has it, which makes one with [`new`](Self::new) and sets the rest.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EndpointRecord {
    /// The definition. Of a deleted endpoint only the id counts. Serialised without its secrets, the
    /// query of its URL and the values of its headers, of which the names are listed.
    #[serde(serialize_with = "crate::shown::definition")]
    pub endpoint: Arc<KeptEndpoint>,
    /// What lets its deliveries through.
    pub gate: GateState,
    /// The number of its last change; changes of all endpoints are numbered in one row, from 1.
    pub revision: u64,
    /// The number of the last change of its definition, which gates do not move: what a save may
    /// [expect](Expected::Revision). Never used again for this id.
    pub definition_revision: u64,
    /// When the definition was first saved under this id, by the storage's clock; a deletion begins
    /// anew.
    pub created_at: Timestamp,
    /// When the definition was last saved.
    pub updated_at: Timestamp,
    /// Which endpoint of this id it is: a new number with each registration after a deletion, and
    /// with each change of the tenant. A delivery belongs to one of them.
    pub incarnation: u64,
    /// It was deleted; only its tombstone is left.
    pub deleted: bool,
    /// Why its credentials could not be decrypted; then the definition has none. Deliveries of
    /// such an endpoint wait, and every other endpoint goes on.
    #[serde(serialize_with = "crate::shown::error")]
    pub unreadable: Option<WebhookError>,
}

impl EndpointRecord {
    /// An endpoint that is there and readable, with no revision and no incarnation yet.
    #[must_use]
    pub fn new(endpoint: impl Into<Arc<KeptEndpoint>>, gate: GateState) -> Self {
        Self {
            endpoint: endpoint.into(),
            gate,
            revision: 0,
            definition_revision: 0,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            incarnation: 0,
            deleted: false,
            unreadable: None,
        }
    }

    /// Whether new events make deliveries for this endpoint. Those of one that was disabled for
    /// failing wait, so that nothing is lost.
    #[must_use]
    pub fn takes_events(&self) -> bool {
        let waits = self.gate.disabled == Some(DisabledBy::Failing);
        !self.deleted && (self.endpoint.enabled || waits)
    }

    pub(super) fn into_definition(self) -> Result<WebhookEndpoint> {
        match self.unreadable {
            Some(error) => Err(error),
            None => Ok(WebhookEndpoint::clone(&self.endpoint)),
        }
    }

    /// Whether its deliveries may go, holds aside.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.deleted && self.endpoint.enabled && !self.gate.paused && self.unreadable.is_none()
    }
}

/// What must be stored for a definition or a document to be saved over it, or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Anything, or nothing.
    Any,
    /// Nothing under this id, or what was deleted.
    Absent,
    /// The endpoint with this [definition revision](EndpointRecord::definition_revision), or the
    /// document with this [revision](super::Document::revision).
    Revision(u64),
}

impl Expected {
    /// Whether that is met by what is stored: the revision of what is there, if it is.
    #[must_use]
    pub fn is_met_by(self, stored: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => stored.is_none(),
            Self::Revision(revision) => stored == Some(revision),
        }
    }
}

/// What a save did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a conflict stored nothing"]
pub enum Saved {
    /// It is stored, under this revision.
    Stored(u64),
    /// What is stored is not what was expected; nothing changed.
    Conflict,
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a conflict deleted nothing"]
pub enum Deleted {
    /// It is deleted.
    Deleted,
    /// There was nothing to delete.
    Absent,
    /// What is stored is not what was expected; nothing changed.
    Conflict,
}

/// What [`endpoints_since`](super::WebhookStorage::endpoints_since) found.
#[derive(Clone, Debug, Default)]
pub struct EndpointChanges {
    /// The changed endpoints, by growing revision.
    pub records: Vec<EndpointRecord>,
    /// The revision to ask from next time.
    pub revision: u64,
    /// There are more than the limit.
    pub more: bool,
}

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
    /// [incarnation](EndpointRecord::incarnation) after the first.
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
}

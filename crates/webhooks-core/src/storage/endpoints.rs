use std::sync::Arc;

use serde::Serialize;

use super::{DisabledBy, GateState};
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

//! Deliveries counted by what they have in common.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::DeliveryRecord;
use crate::named::named;
use crate::{DeadReason, EventType, FailureKind, Result, WebhookError};

/// The most groups of one answer.
pub const MAX_GROUPS: usize = 100;

/// What deliveries are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// Their endpoint.
    EndpointId,
    /// Why they are dead.
    DeadReason,
    /// Why their last attempt failed.
    LastFailure,
    /// The type of their event.
    EventType,
}

named!(GroupBy, "group of deliveries", {
    EndpointId => "endpoint_id",
    DeadReason => "dead_reason",
    LastFailure => "last_failure",
    EventType => "event_type",
});

impl GroupBy {
    /// Checks what deliveries are to be grouped by: one to three different ones.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] that names the bound.
    pub fn validate(by: &[Self]) -> Result<()> {
        let is_twice = by
            .iter()
            .enumerate()
            .any(|(n, one)| by.iter().skip(n + 1).any(|o| o == one));
        if (1..=3).contains(&by.len()) && !is_twice {
            return Ok(());
        }
        let text = format!("by has {} groups, it needs 1 to 3 different ones", by.len());
        Err(WebhookError::InvalidQuery(text.into()))
    }
}

/// What the deliveries of a group have in common: what was not asked for is `None`, and so is what
/// they do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct GroupKey {
    /// Their endpoint.
    pub endpoint_id: Option<Arc<str>>,
    /// Why they are dead.
    pub dead_reason: Option<DeadReason>,
    /// Why their last attempt failed.
    pub last_failure: Option<FailureKind>,
    /// The type of their event.
    pub event_type: Option<EventType>,
}

impl GroupKey {
    /// The group of this delivery.
    #[must_use]
    pub fn of(record: &DeliveryRecord, by: &[GroupBy]) -> Self {
        let mut key = Self::default();
        for by in by {
            match by {
                GroupBy::EndpointId => {
                    key.endpoint_id = Some(record.delivery.endpoint_id.clone());
                }
                GroupBy::DeadReason => key.dead_reason = record.dead_reason,
                GroupBy::LastFailure => key.last_failure = record.last_failure,
                GroupBy::EventType => {
                    key.event_type = Some(record.delivery.event.event_type.clone());
                }
            }
        }
        key
    }
}

/// Deliveries counted in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Groups {
    /// The largest [`MAX_GROUPS`] groups, largest first.
    pub groups: Vec<Group>,
    /// Deliveries that were counted.
    pub counted: u64,
    /// There may be more than were counted.
    pub capped: bool,
}

/// So many deliveries have this in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
    /// How many there are.
    pub count: u64,
}

impl Groups {
    /// The answer for these groups, in any number and order.
    #[must_use]
    pub fn new(groups: HashMap<GroupKey, u64>, capped: bool) -> Self {
        let counted = groups.values().sum();
        let groups = groups.into_iter().map(|(key, count)| Group { key, count });
        let mut groups: Vec<_> = groups.collect();
        let name = |key: &GroupKey| {
            let endpoint_id = key.endpoint_id.clone();
            let event_type = key.event_type.clone();
            (endpoint_id, event_type, key.dead_reason, key.last_failure)
        };
        groups.sort_by_cached_key(|group| (Reverse(group.count), name(&group.key)));
        groups.truncate(MAX_GROUPS);
        Self {
            groups,
            counted,
            capped,
        }
    }
}

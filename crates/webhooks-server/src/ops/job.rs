//! A change of many deliveries, as it is kept while it goes on.

use std::sync::Arc;

use better_auth_webhooks::storage::{Change, DeliveryQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webhooks_core::{DeliveryId, DeliveryState, Timestamp};

use super::delivery_filter::DeliveryFilter;
use crate::access::Scope;
use crate::problem::Problem;

/// What is done to each delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobAction {
    /// Dead letters are sent again.
    Replay,
    /// What has ended, however it did, is sent again.
    Resend,
    /// What waits is cancelled.
    Cancel,
    /// What has ended is dropped.
    Purge,
    /// Payloads are dropped; what waits is cancelled.
    Erase,
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// It goes on.
    Running,
    /// Everything was looked at.
    Done,
    /// Somebody stopped it. What it had changed stays changed.
    Stopped,
    /// The storage refuses it for good.
    Failed,
}

/// A change of many deliveries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What is done to each delivery.
    pub(crate) action: JobAction,
    /// Which deliveries, as the caller said.
    pub(crate) filter: DeliveryFilter,
    /// The endpoints to which the caller was narrowed.
    pub(crate) endpoint_ids: Option<Vec<Arc<str>>>,
    /// Where it is in its life.
    pub(crate) state: JobState,
    /// Somebody wants it to stop.
    pub(crate) stop: bool,
    /// Deliveries that matched when it was made.
    pub(crate) matched: u64,
    /// More may have matched: it was counted no further.
    pub(crate) matched_capped: bool,
    /// Deliveries that were changed so far. After a process died in the middle of a step those of that
    /// step are not counted.
    pub(crate) changed: u64,
    /// Deliveries a second at most.
    pub(crate) rate_per_second: Option<u32>,
    /// Who made it.
    pub(crate) created_by: Arc<str>,
    /// The tenant of the caller.
    pub(crate) tenant: Option<Arc<str>>,
    /// What was changed before this time is what it is about.
    pub(crate) created_at: Timestamp,
    /// Its heartbeat: whoever runs it moves it on.
    pub(crate) updated_at: Timestamp,
    /// When it ended.
    pub(crate) finished_at: Option<Timestamp>,
    /// Why it failed.
    pub(crate) problem: Option<String>,
    /// Who goes on with it: another name means that it was taken over.
    pub(crate) run: Arc<str>,
    /// Everything from here up was looked at.
    pub(crate) before: Option<DeliveryId>,
}

impl JobAction {
    /// What a caller needs for it.
    pub(crate) const fn scope(self) -> Scope {
        match self {
            Self::Replay | Self::Resend | Self::Cancel => Scope::DeliveriesWrite,
            Self::Purge | Self::Erase => Scope::DeliveriesPurge,
        }
    }

    /// What the storage is asked for.
    pub(crate) const fn change(self) -> Change {
        match self {
            Self::Replay => Change::Replay,
            Self::Resend => Change::Resend,
            Self::Cancel => Change::Cancel,
            Self::Purge => Change::Purge,
            Self::Erase => Change::Erase,
        }
    }

    /// The states of what it changes; none for any.
    const fn states(self) -> &'static [DeliveryState] {
        use DeliveryState as S;
        match self {
            Self::Replay => &[S::Dead],
            Self::Resend | Self::Purge => &[S::Delivered, S::Dead, S::Cancelled],
            Self::Cancel => &[S::Blocked, S::Ready, S::Scheduled],
            Self::Erase => &[],
        }
    }

    /// Which deliveries it changes of those that a filter chooses, of what is there now.
    pub(crate) fn query(
        self,
        filter: DeliveryFilter,
        endpoint_ids: Option<Vec<Arc<str>>>,
        began: Timestamp,
    ) -> Result<DeliveryQuery, Problem> {
        let mut query = filter.query()?;
        if endpoint_ids.is_some() {
            query.endpoint_ids = endpoint_ids;
        }
        // Deliveries in other states would be passed over one by one.
        if query.states.is_empty() {
            query.states = self.states().to_vec();
        } else if !self.states().is_empty() {
            query.states.retain(|state| self.states().contains(state));
            if query.states.is_empty() {
                query.ids = Some(Vec::new());
            }
        }
        // What it has changed it does not meet again, nor what becomes so after it began. What is to
        // be erased is so also where its state has changed meanwhile.
        if self != Self::Erase {
            let before = query.updated_before;
            query.updated_before = Some(before.map_or(began, |before| before.min(began)));
        }
        Ok(query)
    }
}

impl Job {
    /// What is left to be looked at.
    pub(crate) fn query(&self) -> Result<DeliveryQuery, Problem> {
        let (filter, ids) = (self.filter.clone(), self.endpoint_ids.clone());
        let query = self.action.query(filter, ids, self.created_at)?;
        Ok(DeliveryQuery {
            before: self.before,
            ..query
        })
    }

    /// It has come to this end.
    pub(crate) fn end(&mut self, state: JobState, at: Timestamp) {
        self.state = state;
        self.finished_at = Some(at);
    }
}

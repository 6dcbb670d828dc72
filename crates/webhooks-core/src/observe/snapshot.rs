use std::time::Duration;

use crate::CircuitState;
use crate::storage::{Counts, DisabledBy, EndpointRecord};

/// A running system at one moment: what cannot be counted, but looked at.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// This process.
    pub process: ProcessSnapshot,
    /// All processes on the same storage, as the storage tells it; `None` while it does not answer.
    pub cluster: Option<ClusterSnapshot>,
}

/// One process at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// Requests in flight.
    pub requests_in_flight: usize,
    /// Requests in flight at most.
    pub requests_limit: usize,
    /// Deliveries that are leased to this process and not settled, counted as the requests that they
    /// take.
    pub deliveries_in_hand: usize,
    /// Bytes of events that wait for their commit.
    pub commit_queue_bytes: usize,
    /// The time since the last beat that was stored began; `None` before the first.
    pub beat_age: Option<Duration>,
    /// Endpoints by their circuit, as this process sees it: closed, open, half-open, in the order of
    /// [`CircuitState::ALL`].
    pub circuits: [usize; CircuitState::ALL.len()],
    /// Endpoints by what lets their deliveries through, as this process has read it.
    pub endpoints: EndpointStates,
}

/// All processes on one storage at one moment.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClusterSnapshot {
    /// What the storage counts.
    pub counts: Counts,
    /// How long the longest waiting ready delivery has been due; zero if none is ready.
    pub oldest_ready: Duration,
}

/// How many endpoints are in which state. Each is counted once, as the first of these that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStates {
    /// Their credentials cannot be decrypted.
    pub unreadable: usize,
    /// They have not answered a challenge yet.
    pub unverified: usize,
    /// They are disabled, by whomever.
    pub disabled: usize,
    /// They are paused.
    pub paused: usize,
    /// They are open.
    pub open: usize,
}

impl EndpointStates {
    /// Counts an endpoint in. Deleted ones are none.
    pub fn add(&mut self, record: &EndpointRecord) {
        let count = if record.deleted {
            return;
        } else if record.unreadable.is_some() {
            &mut self.unreadable
        } else if record.gate.disabled == Some(DisabledBy::Unverified) {
            &mut self.unverified
        } else if !record.endpoint.enabled {
            &mut self.disabled
        } else if record.gate.paused {
            &mut self.paused
        } else {
            &mut self.open
        };
        *count += 1;
    }

    /// All of them, by the name of their state.
    #[must_use]
    pub const fn by_name(&self) -> [(&'static str, usize); 5] {
        [
            ("open", self.open),
            ("paused", self.paused),
            ("disabled", self.disabled),
            ("unverified", self.unverified),
            ("unreadable", self.unreadable),
        ]
    }
}

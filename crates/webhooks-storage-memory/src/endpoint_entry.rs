use std::collections::BTreeMap;
use std::sync::Arc;

use webhooks_core::storage::{Counts, EndpointRecord, GateState};
use webhooks_core::{KeptEndpoint, Timestamp, WebhookEndpoint};

use crate::filling::Filling;

/// An endpoint, or its tombstone, with its queue.
#[derive(Debug)]
pub(crate) struct EndpointEntry {
    pub(crate) id: Arc<str>,
    /// Never shared: callers get copies.
    pub(crate) definition: KeptEndpoint,
    pub(crate) gate: GateState,
    pub(crate) revision: u64,
    pub(crate) definition_revision: u64,
    /// Which endpoint of this id it is; rows of another one are never sent.
    pub(crate) incarnation: u32,
    pub(crate) deleted_at: Option<Timestamp>,
    /// Handles of the ready rows, by priority and then order.
    pub(crate) ready: BTreeMap<(i64, u64), u32>,
    /// Those of them that are poison suspects, which are not in `ready`.
    pub(crate) suspects: BTreeMap<(i64, u64), u32>,
    pub(crate) filling: Filling,
    /// `suspended` is not kept here; it follows from the rest.
    pub(crate) counts: Counts,
    /// Rows of any state: a tombstone stays while there are some.
    pub(crate) rows: usize,
    pub(crate) in_ring: bool,
}

impl EndpointEntry {
    pub(crate) fn new(endpoint: &WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id.as_str().into(),
            definition: endpoint.clone().into(),
            gate: GateState::default(),
            revision: 0,
            definition_revision: 0,
            incarnation: 0,
            deleted_at: None,
            ready: BTreeMap::new(),
            suspects: BTreeMap::new(),
            filling: Filling::default(),
            counts: Counts::default(),
            rows: 0,
            in_ring: false,
        }
    }

    pub(crate) const fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// Whether its deliveries may go, holds aside.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_deleted() && self.definition.enabled && !self.gate.paused
    }

    /// When its hold ends, if one lasts at `now`.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.gate.held_until.filter(|until| *until > now)
    }

    /// Whether something is ready that gates would let through, holds aside.
    pub(crate) fn is_claimable(&self) -> bool {
        let most = self.gate.max_leased.map_or(u64::MAX, u64::from);
        self.counts.ready > 0 && self.is_open() && self.counts.leased < most
    }

    /// The queue of ready rows that this one has its place in.
    pub(crate) fn queue_of(&mut self, row_is_suspect: bool) -> &mut BTreeMap<(i64, u64), u32> {
        match row_is_suspect {
            true => &mut self.suspects,
            false => &mut self.ready,
        }
    }

    /// Handles of all ready rows.
    pub(crate) fn all_ready(&self) -> impl Iterator<Item = u32> {
        self.ready.values().chain(self.suspects.values()).copied()
    }

    /// The ready row whose turn it is, if suspect and other ones may go or not; and whether it is
    /// suspect.
    pub(crate) fn first_ready(
        &self,
        with_suspects: bool,
        with_others: bool,
    ) -> Option<(u32, bool)> {
        let first = self.ready.first_key_value().filter(|_| with_others);
        let suspect = self.suspects.first_key_value().filter(|_| with_suspects);
        match (first, suspect) {
            (Some(first), Some(suspect)) if first < suspect => Some((*first.1, false)),
            (_, Some((_, handle))) => Some((*handle, true)),
            (Some((_, handle)), None) => Some((*handle, false)),
            (None, None) => None,
        }
    }

    /// The counts with what is suspended.
    pub(crate) fn counts(&self) -> Counts {
        let suspended = if self.is_open() { 0 } else { self.idle() };
        Counts {
            suspended,
            ..self.counts
        }
    }

    /// Rows that are ready or scheduled.
    pub(crate) const fn idle(&self) -> u64 {
        self.counts.ready + self.counts.scheduled
    }

    pub(crate) fn record(&self) -> EndpointRecord {
        EndpointRecord {
            endpoint: Arc::new(self.definition.clone()),
            gate: self.gate.clone(),
            revision: self.revision,
            definition_revision: self.definition_revision,
            incarnation: self.incarnation.into(),
            deleted: self.is_deleted(),
            unreadable: None,
        }
    }
}

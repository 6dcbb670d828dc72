use std::collections::BTreeMap;
use std::sync::Arc;

use webhooks_core::storage::{Counts, EndpointRecord, GateState};
use webhooks_core::{DeliveryId, KeptEndpoint, Timestamp, WebhookEndpoint};

use crate::filling::Filling;

/// An endpoint, or its tombstone, with its queue.
///
/// A deleted endpoint keeps its entry until no row points at it and every node has had time to read
/// of the deletion.
#[derive(Debug)]
pub(crate) struct EndpointEntry {
    pub(crate) id: Arc<str>,
    /// Never shared: callers get copies.
    pub(crate) definition: KeptEndpoint,
    pub(crate) gate: GateState,
    /// Of the last change, of any kind: what readers ask for changes by.
    pub(crate) revision: u64,
    /// Of the last save of the definition; gates do not move it, so that a pause makes no writer's
    /// save a conflict.
    pub(crate) definition_revision: u64,
    /// Which endpoint of this id it is; rows of another one are never sent.
    pub(crate) incarnation: u32,
    pub(crate) deleted_at: Option<Timestamp>,
    /// When the id was first saved, or saved again after a deletion.
    pub(crate) created_at: Timestamp,
    /// When the definition was last saved.
    pub(crate) updated_at: Timestamp,
    /// Handles of the ready rows, by priority and then order.
    pub(crate) ready: BTreeMap<(i64, u64), u32>,
    /// Those of them that are poison suspects, which are not in `ready`.
    pub(crate) suspects: BTreeMap<(i64, u64), u32>,
    pub(crate) filling: Filling,
    /// `suspended` is not kept here; it follows from the rest.
    pub(crate) counts: Counts,
    /// Rows of any state, by id: what is listed of one endpoint is found without a look at those of
    /// others. A tombstone stays while there are some.
    pub(crate) rows: BTreeMap<DeliveryId, u32>,
    /// Whether it stands in the ring of turns. Only the ring changes it.
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
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            ready: BTreeMap::new(),
            suspects: BTreeMap::new(),
            filling: Filling::default(),
            counts: Counts::default(),
            rows: BTreeMap::new(),
            in_ring: false,
        }
    }

    pub(crate) const fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// Whether its deliveries may go, holds aside.
    ///
    /// For a deleted endpoint never, whatever its gate says.
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
    ///
    /// Two queues, so that a claim that may take no suspect passes over none: thousands of them
    /// would hide those behind them.
    pub(crate) fn queue_of(&mut self, row_is_suspect: bool) -> &mut BTreeMap<(i64, u64), u32> {
        match row_is_suspect {
            true => &mut self.suspects,
            false => &mut self.ready,
        }
    }

    /// The ready row whose turn it is, if suspect and other ones may go or not; and whether it is
    /// suspect.
    ///
    /// Whichever of the two has the lesser key goes first: a suspect keeps its place among the
    /// others.
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
    ///
    /// Suspended is what no passing of time lets go, so neither holds nor limits of leases count.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.counts;
        counts.suspended = if self.is_open() { 0 } else { self.idle() };
        counts
    }

    /// Rows that are blocked, ready or scheduled.
    pub(crate) const fn idle(&self) -> u64 {
        self.counts.blocked + self.counts.ready + self.counts.scheduled
    }

    pub(crate) fn record(&self) -> EndpointRecord {
        let mut record = EndpointRecord::new(self.definition.clone(), self.gate.clone());
        record.revision = self.revision;
        record.definition_revision = self.definition_revision;
        record.created_at = self.created_at;
        record.updated_at = self.updated_at;
        record.incarnation = self.incarnation.into();
        record.deleted = self.is_deleted();
        record
    }
}

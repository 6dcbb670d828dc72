//! Definitions, gates, tombstones and revisions of endpoints.

use webhooks_core::storage::spi::{EndpointChanges, EndpointGate};
use webhooks_core::storage::{Deleted, EndpointRecord, Expected, GateState, Saved};
use webhooks_core::{CancelReason, DeliveryState, KeptEndpoint, Timestamp, WebhookEndpoint};

use crate::endpoint_entry::EndpointEntry;
use crate::state::State;

impl State {
    /// Saves a definition over what is expected. Check and save are one step under the lock: of two
    /// nodes that register one id, one gets the conflict.
    pub(crate) fn save_definition(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
        now: Timestamp,
    ) -> Saved {
        let known = self.endpoint_handles.get(endpoint.id.as_str()).copied();
        let live = known.map(|handle| self.endpoints.at(handle));
        // A tombstone counts as absent: its id may be registered anew.
        let live = live.filter(|entry| !entry.is_deleted());
        if !expected.is_met_by(live.map(|entry| entry.definition_revision)) {
            return Saved::Conflict;
        }
        // The same endpoint goes on only if it lives and stays with its tenant. Otherwise what
        // waits was made for somebody else, and is cancelled below.
        let stays = live.is_some_and(|entry| entry.definition.tenant == endpoint.tenant);
        let (is_new, is_live) = (known.is_none(), live.is_some());
        let handle = known.unwrap_or_else(|| self.add_endpoint(endpoint));
        let entry = self.endpoints.at_mut(handle);
        entry.definition = endpoint.clone().into();
        // Saving it as enabled is what lifts a disabling, also that of an unverified endpoint.
        if endpoint.enabled {
            entry.gate.disabled = None;
        }
        entry.deleted_at = None;
        if !is_live {
            entry.created_at = now;
        }
        // What is decided by what an earlier one answers is void.
        entry.gate.epoch += u64::from(!stays && !is_new);
        // The new number before the cancelling and before anything can be claimed: no row of the
        // earlier one is ever sent to the new URL.
        if !stays {
            // Never 0, which is what an endpoint has before its first save.
            self.incarnations = self.incarnations.wrapping_add(1).max(1);
            self.endpoints.at_mut(handle).incarnation = self.incarnations;
            self.cancel_waiting(handle, CancelReason::EndpointReplaced, now);
        }
        self.define(handle, now)
    }

    /// Replaces the secrets alone: what a gate or another node has changed of the rest meanwhile
    /// stays.
    pub(crate) fn save_secrets(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: u64,
        now: Timestamp,
    ) -> Saved {
        let Some(&handle) = self.endpoint_handles.get(endpoint.id.as_str()) else {
            return Saved::Conflict;
        };
        let entry = self.endpoints.at_mut(handle);
        if entry.is_deleted() || entry.definition_revision != expected {
            return Saved::Conflict;
        }
        // A copy is changed and put in the old one's place, which wipes the old secrets as it is
        // dropped.
        let mut definition = WebhookEndpoint::clone(&entry.definition);
        definition.secret.clone_from(&endpoint.secret);
        definition
            .previous_secrets
            .clone_from(&endpoint.previous_secrets);
        entry.definition = definition.into();
        self.define(handle, now)
    }

    /// Nothing moves: to nobody is it another definition.
    pub(crate) fn rewrite_credentials(
        &mut self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> bool {
        let Some(&handle) = self.endpoint_handles.get(stored.id.as_str()) else {
            return false;
        };
        let entry = self.endpoints.at_mut(handle);
        if entry.is_deleted() || !entry.definition.has_credentials_of(stored) {
            return false;
        }
        entry.definition.take_credentials_of(rewritten);
        true
    }

    fn add_endpoint(&mut self, endpoint: &WebhookEndpoint) -> u32 {
        let entry = EndpointEntry::new(endpoint);
        let id = entry.id.clone();
        let new = self.endpoints.insert(entry);
        self.endpoint_handles.insert(id, new);
        new
    }

    /// Numbers a change of a definition.
    ///
    /// Every save has a new revision, also one that changes nothing: the revision is what the next
    /// save of this definition has to expect.
    fn define(&mut self, handle: u32, now: Timestamp) -> Saved {
        self.touch(handle);
        // The batch's size or wait may have changed, or it may be the first or the last definition
        // with one.
        self.fill_anew(handle);
        let entry = self.endpoints.at_mut(handle);
        entry.definition_revision = entry.revision;
        entry.updated_at = now;
        self.definitions = entry.revision;
        let saved = Saved::Stored(entry.revision);
        self.admit(handle, now);
        saved
    }

    /// Leaves a tombstone and cancels what waits. What is leased ends by its holder's settlement.
    pub(crate) fn delete_endpoint(
        &mut self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Deleted {
        let Some(&handle) = self.endpoint_handles.get(id) else {
            return Deleted::Absent;
        };
        let entry = self.endpoints.at_mut(handle);
        // A tombstone is as absent as what never was.
        if entry.is_deleted() {
            return Deleted::Absent;
        }
        if !expected.is_met_by(Some(entry.definition_revision)) {
            return Deleted::Conflict;
        }
        entry.deleted_at = Some(now);
        // Only the id is still needed; the secrets go at once.
        entry.definition = KeptEndpoint::from(WebhookEndpoint {
            id: id.into(),
            enabled: false,
            ..WebhookEndpoint::default()
        });
        // The epoch outlives the gate: what processes decided by the old endpoint's answers must
        // stay void for one that gets its id later.
        let epoch = entry.gate.epoch;
        entry.gate = GateState::default();
        entry.gate.epoch = epoch;
        self.touch(handle);
        self.definitions = self.revision;
        self.cancel_waiting(handle, CancelReason::EndpointDeleted, now);
        Deleted::Deleted
    }

    /// Cancels what is blocked, ready and scheduled of an endpoint.
    ///
    /// Its other rows are passed over, which are few beside those that wait: leased and ended ones.
    fn cancel_waiting(&mut self, endpoint: u32, reason: CancelReason, now: Timestamp) {
        let rows = self.endpoints.at(endpoint).rows.values().copied();
        let mut waiting: Vec<u32> = rows.filter(|row| self.rows.at(*row).is_idle()).collect();
        // Blocked ones first: no end of a head lets any go that are cancelled next.
        waiting.sort_by_key(|row| self.rows.at(*row).state != DeliveryState::Blocked);
        for row in waiting {
            self.cancel(row, reason, now);
        }
    }

    pub(crate) fn endpoint_record(&self, id: &str) -> Option<EndpointRecord> {
        let entry = self.endpoints.at(*self.endpoint_handles.get(id)?);
        (!entry.is_deleted()).then(|| entry.record())
    }

    pub(crate) fn endpoints_since(&self, revision: u64, limit: usize) -> EndpointChanges {
        let mut later = self
            .by_revision
            .range(revision.saturating_add(1)..)
            .map(|(_, handle)| self.endpoints.at(*handle));
        let records: Vec<_> = later
            .by_ref()
            .take(limit)
            .map(EndpointEntry::record)
            .collect();
        // With more to come, the reader has to go on behind the last record. Without, it can go to
        // the newest revision, though the records of overtaken changes are gone.
        let more = later.next().is_some();
        let last = records.last().map_or(revision, |record| record.revision);
        EndpointChanges {
            records,
            revision: if more {
                last
            } else {
                self.revision.max(revision)
            },
            more,
        }
    }

    /// Applies changes of gates in their order. Unknown and deleted endpoints are passed over: one
    /// that is gone must not fail what was decided for the others.
    pub(crate) fn set_gates(&mut self, gates: &[EndpointGate], now: Timestamp) {
        for gate in gates {
            let Some(&handle) = self.endpoint_handles.get(&gate.endpoint_id) else {
                continue;
            };
            let entry = self.endpoints.at_mut(handle);
            if entry.is_deleted() || gate.is_void(&entry.gate) {
                continue;
            }
            let enabled = &mut entry.definition.enabled;
            if gate.change.apply(&mut entry.gate, enabled) {
                self.touch(handle);
                self.admit(handle, now);
            }
        }
    }

    /// Drops tombstones that nothing refers to and that every node has had the time to see.
    ///
    /// "Seen" by the measure of retention: a node that has not read changes for that long begins
    /// anew.
    pub(crate) fn drop_tombstones(&mut self, cutoff: Timestamp) -> usize {
        let gone: Vec<u32> = self
            .endpoints
            .iter()
            .filter(|(_, e)| e.rows.is_empty() && e.deleted_at.is_some_and(|at| at <= cutoff))
            .map(|(handle, _)| handle)
            .collect();
        for handle in &gone {
            let entry = self.endpoints.remove(*handle);
            self.endpoint_handles.remove(&entry.id);
            self.by_revision.remove(&entry.revision);
            // Its handle may be given out again at once.
            self.ring.forget(*handle);
        }
        gone.len()
    }

    /// Numbers a change of an endpoint.
    ///
    /// An endpoint is listed at its last revision only, so the earlier one goes.
    fn touch(&mut self, handle: u32) {
        self.revision += 1;
        let entry = self.endpoints.at_mut(handle);
        self.by_revision.remove(&entry.revision);
        entry.revision = self.revision;
        self.by_revision.insert(self.revision, handle);
    }
}

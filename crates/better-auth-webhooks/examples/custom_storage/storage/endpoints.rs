use std::sync::Arc;

use better_auth_webhooks::storage::spi::EndpointChanges;
use better_auth_webhooks::storage::{Deleted, EndpointRecord, Expected, Saved};
use better_auth_webhooks::{CancelReason, Timestamp, WebhookEndpoint};

use super::lists::Lists;

/// Definitions, gates and revisions.
impl Lists {
    pub(crate) fn save(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
        now: Timestamp,
    ) -> Saved {
        let same_id = |record: &&EndpointRecord| record.endpoint.id == endpoint.id;
        let known = self.endpoints.iter().find(same_id).cloned();
        let live = known.as_ref().filter(|record| !record.deleted);
        if !expected.is_met_by(live.map(|record| record.definition_revision)) {
            return Saved::Conflict;
        }
        let stays = live.filter(|record| record.endpoint.tenant == endpoint.tenant);
        let mut record = match (live, &known) {
            (Some(live), _) => EndpointRecord::new(endpoint.clone(), live.gate.clone()),
            (None, Some(deleted)) => EndpointRecord::new(endpoint.clone(), deleted.gate.anew()),
            (None, None) => EndpointRecord::new(endpoint.clone(), Default::default()),
        };
        if endpoint.enabled {
            record.gate.disabled = None;
        }
        // What was decided by what another tenant's endpoint answered is void.
        record.gate.epoch += u64::from(live.is_some() && stays.is_none());
        record.created_at = live.map_or(now, |live| live.created_at);
        // The number of the change is new, and larger than any before.
        record.incarnation = stays.map_or(self.revision + 1, |same| same.incarnation);
        let is_other = stays.is_none();
        self.endpoints.retain(|e| e.endpoint.id != endpoint.id);
        self.endpoints.push(record);
        if is_other {
            self.cancel_waiting(&endpoint.id, CancelReason::EndpointReplaced, now);
        }
        self.define(&endpoint.id, now)
    }

    pub(crate) fn save_secrets(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: u64,
        now: Timestamp,
    ) -> Saved {
        let found = self.endpoint(&endpoint.id);
        let Some(record) = found.filter(|record| record.definition_revision == expected) else {
            return Saved::Conflict;
        };
        let stored = Arc::make_mut(&mut record.endpoint);
        stored.secret.clone_from(&endpoint.secret);
        let previous = &endpoint.previous_secrets;
        stored.previous_secrets.clone_from(previous);
        self.define(&endpoint.id, now)
    }

    pub(crate) fn delete(&mut self, id: &str, expected: Expected, now: Timestamp) -> Deleted {
        let Some(record) = self.endpoint(id) else {
            return Deleted::Absent;
        };
        if !expected.is_met_by(Some(record.definition_revision)) {
            return Deleted::Conflict;
        }
        record.deleted = true;
        self.definitions = self.touch(id);
        self.cancel_waiting(id, CancelReason::EndpointDeleted, now);
        Deleted::Deleted
    }

    /// Numbers a change of a definition.
    fn define(&mut self, id: &str, now: Timestamp) -> Saved {
        let revision = self.touch(id);
        self.definitions = revision;
        if let Some(record) = self.endpoint(id) {
            record.definition_revision = revision;
            record.updated_at = now;
        }
        Saved::Stored(revision)
    }

    /// Numbers a change of an endpoint.
    pub(crate) fn touch(&mut self, id: &str) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        let changed = self.endpoints.iter_mut().find(|e| e.endpoint.id == id);
        if let Some(record) = changed {
            record.revision = revision;
        }
        revision
    }

    pub(crate) fn endpoints_since(&self, revision: u64, limit: usize) -> EndpointChanges {
        let later = self.endpoints.iter().filter(|e| e.revision > revision);
        let mut records: Vec<_> = later.cloned().collect();
        records.sort_by_key(|record| record.revision);
        let more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().map_or(revision, |record| record.revision);
        EndpointChanges {
            records,
            revision: if more { last } else { self.revision },
            more,
        }
    }
}

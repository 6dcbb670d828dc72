//! The endpoints as this process knows them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use webhooks_core::storage::{EndpointRecord, WebhookStorage};
use webhooks_core::{FilterIndex, Result};

use crate::lane::{Lane, LaneRef};

/// Endpoints of one page when they are read.
const PAGE: usize = 1_000;

/// All endpoints, with the index that finds those an event is for. Kept up to date by their
/// revisions, so that an event costs no read of the storage.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    inner: RwLock<Inner>,
    /// One refresh at a time, so that an older page never overwrites a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    lanes: HashMap<Arc<str>, Arc<Lane>>,
    index: FilterIndex<LaneRef>,
    created: u64,
    /// How many endpoints each tenant has.
    tenants: HashMap<String, usize>,
}

impl Directory {
    /// Reads what has changed since the last time; the lanes whose endpoints did.
    pub(crate) async fn refresh(&self, storage: &dyn WebhookStorage) -> Result<Vec<Arc<Lane>>> {
        let _one = self.refreshing.lock().await;
        let mut changed = Vec::new();
        loop {
            let since = self.revision();
            let page = storage.endpoints_since(since, PAGE).await?;
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            for record in page.records {
                inner.take(record, &mut changed);
            }
            inner.revision = inner.revision.max(page.revision);
            if !page.more {
                return Ok(changed);
            }
        }
    }

    /// Waits for a refresh that runs, and keeps the next one from starting.
    pub(crate) async fn pause_refreshing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.refreshing.lock().await
    }

    /// The revision up to which the directory is complete.
    pub(crate) fn revision(&self) -> u64 {
        self.read().revision
    }

    /// The lane of an endpoint that is not deleted.
    pub(crate) fn get(&self, endpoint_id: &str) -> Option<Arc<Lane>> {
        self.read().lanes.get(endpoint_id).cloned()
    }

    /// The lanes that take this event.
    pub(crate) fn matches(&self, tenant: Option<&Arc<str>>, event_type: &str) -> Vec<LaneRef> {
        self.read().index.matches(tenant, event_type)
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.read().lanes.len()
    }

    /// How many endpoints a tenant has.
    pub(crate) fn count_of(&self, tenant: &str) -> usize {
        self.read().tenants.get(tenant).copied().unwrap_or(0)
    }

    /// All lanes.
    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.read().lanes.values().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes a changed endpoint in, and adds the lanes that this changes.
    fn take(&mut self, record: EndpointRecord, changed: &mut Vec<Arc<Lane>>) {
        let record = Arc::new(record);
        let id: Arc<str> = record.endpoint.id.as_str().into();
        let known = self.lanes.remove(&id);
        if let Some(lane) = &known {
            let old = lane.record();
            self.index(lane, &old, false);
            self.leave_tenant(old.endpoint.tenant.as_deref());
            changed.push(lane.clone());
        }
        let is_same = |lane: &Arc<Lane>| lane.incarnation == record.incarnation;
        let lane = match known {
            Some(lane) if record.deleted => return lane.set_record(record),
            Some(lane) if is_same(&lane) => {
                lane.set_record(record.clone());
                lane
            }
            replaced => {
                if let Some(replaced) = replaced {
                    replaced.retire();
                }
                if record.deleted {
                    return;
                }
                self.created += 1;
                let lane = Arc::new(Lane::new(self.created, id.clone(), record.clone()));
                changed.push(lane.clone());
                lane
            }
        };
        self.index(&lane, &record, true);
        if let Some(tenant) = &record.endpoint.tenant {
            *self.tenants.entry(tenant.clone()).or_default() += 1;
        }
        self.lanes.insert(id, lane);
    }

    fn leave_tenant(&mut self, tenant: Option<&str>) {
        let Some(tenant) = tenant else { return };
        if let Some(count) = self.tenants.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                self.tenants.remove(tenant);
            }
        }
    }

    fn index(&mut self, lane: &Arc<Lane>, record: &EndpointRecord, insert: bool) {
        if !record.takes_events() {
            return;
        }
        let filters = record.endpoint.filters().unwrap_or_default();
        let tenant: Option<Arc<str>> = record.endpoint.tenant.as_deref().map(Into::into);
        for filter in &filters {
            let lane = LaneRef(lane.clone());
            if insert {
                self.index.insert(tenant.as_ref(), filter, lane);
            } else {
                self.index.remove(tenant.as_ref(), filter, &lane);
            }
        }
    }
}

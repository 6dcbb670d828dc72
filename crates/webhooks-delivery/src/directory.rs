//! The endpoints as this process knows them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use webhooks_core::storage::{EndpointRecord, WebhookStorage};
use webhooks_core::{FilterIndex, Result};

use crate::lane::{Lane, LaneRef};
use crate::left_running::LeftRunning;
use crate::tenant_share::TenantShare;

/// Endpoints of one page when they are read.
const PAGE: usize = 1_000;

/// All endpoints, with the index that finds those an event is for. Kept up to date by their
/// revisions, so that an event costs no read of the storage.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    inner: RwLock<Inner>,
    /// Requests that endpoints which are gone have left running.
    pub(crate) left_running: LeftRunning,
    /// One refresh at a time, so that an older page never overwrites a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    lanes: HashMap<Arc<str>, Arc<Lane>>,
    index: FilterIndex<LaneRef>,
    created: u64,
    tenants: HashMap<String, Tenant>,
    /// Tenants without endpoints whose requests were still in flight when the last one went.
    emptied: Vec<String>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// How many it has.
    endpoints: usize,
    share: Arc<TenantShare<Lane>>,
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
                if let Some(error) = &record.unreadable {
                    let text = "an endpoint cannot be read, what waits for it goes on waiting";
                    tracing::error!(%error, "{text}");
                }
                inner.take(record, &self.left_running, &mut changed);
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
        self.read().tenants.get(tenant).map_or(0, |t| t.endpoints)
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
    fn take(
        &mut self,
        record: EndpointRecord,
        left_running: &LeftRunning,
        changed: &mut Vec<Arc<Lane>>,
    ) {
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
            Some(lane) if record.deleted => return lane.set_record(record, left_running),
            Some(lane) if is_same(&lane) => {
                lane.set_record(record.clone(), left_running);
                lane
            }
            replaced => {
                if let Some(replaced) = replaced {
                    replaced.retire(left_running);
                }
                if record.deleted {
                    return;
                }
                self.created += 1;
                let share = self.share_of(record.endpoint.tenant.as_deref());
                let (number, record) = (self.created, record.clone());
                let lane = Arc::new(Lane::new(number, id.clone(), record, share));
                changed.push(lane.clone());
                lane
            }
        };
        self.index(&lane, &record, true);
        if let Some(tenant) = &record.endpoint.tenant {
            self.tenants.entry(tenant.clone()).or_default().endpoints += 1;
        }
        self.lanes.insert(id, lane);
    }

    fn leave_tenant(&mut self, tenant: Option<&str>) {
        let Some(tenant) = tenant else { return };
        if let Some(known) = self.tenants.get_mut(tenant) {
            known.endpoints -= 1;
            if known.endpoints == 0 {
                self.emptied.push(tenant.to_owned());
            }
        }
        self.drop_emptied();
    }

    /// Forgets tenants that have no endpoints. A share stays until its last request ends, or who
    /// registers anew would have another one.
    fn drop_emptied(&mut self) {
        let tenants = &mut self.tenants;
        self.emptied.retain(|tenant| match tenants.get(tenant) {
            Some(known) if known.endpoints == 0 && !known.share.is_idle() => true,
            Some(known) if known.endpoints == 0 => {
                tenants.remove(tenant);
                false
            }
            _ => false,
        });
    }

    fn share_of(&mut self, tenant: Option<&str>) -> Option<Arc<TenantShare<Lane>>> {
        let known = self.tenants.entry(tenant?.to_owned()).or_default();
        Some(known.share.clone())
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

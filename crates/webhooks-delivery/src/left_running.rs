//! Requests that endpoints which are gone have left running.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use url::Url;
use webhooks_core::WebhookEndpoint;

use crate::lock::lock;

/// Requests in flight at endpoints that were deleted or replaced. They count against the caps of
/// those that have the id now, and of the same tenant's at the same host, until the last of them
/// ends: or an endpoint that is deleted and registered again and again would multiply its cap.
#[derive(Debug, Default)]
pub(crate) struct LeftRunning {
    /// Of all, so that nobody looks further while there are none.
    total: AtomicUsize,
    by_place: Mutex<HashMap<Place, usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Id(String),
    /// Tenant and host: hosts are shared by many tenants, who shall not pay for each other.
    Host(Option<String>, String),
}

impl LeftRunning {
    /// An endpoint is gone, with so many requests in flight.
    pub(crate) fn add(&self, endpoint: &WebhookEndpoint, requests: usize) {
        if requests == 0 {
            return;
        }
        let mut by_place = lock(&self.by_place);
        for place in places(endpoint) {
            *by_place.entry(place).or_default() += requests;
        }
        self.total.fetch_add(requests, Ordering::SeqCst);
    }

    /// One of them has ended.
    pub(crate) fn remove_one(&self, endpoint: &WebhookEndpoint) {
        let mut by_place = lock(&self.by_place);
        for place in places(endpoint) {
            if let Some(count) = by_place.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    by_place.remove(&place);
                }
            }
        }
        self.total.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many of them count against this endpoint.
    pub(crate) fn against(&self, endpoint: &WebhookEndpoint) -> usize {
        if self.total.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let by_place = lock(&self.by_place);
        let counts = places(endpoint).filter_map(|place| by_place.get(&place).copied());
        counts.max().unwrap_or(0)
    }
}

fn places(endpoint: &WebhookEndpoint) -> impl Iterator<Item = Place> {
    let host = Url::parse(&endpoint.url).ok();
    let host = host.and_then(|url| url.host_str().map(str::to_owned));
    let at_host = host.map(|host| Place::Host(endpoint.tenant.clone(), host));
    std::iter::once(Place::Id(endpoint.id.clone())).chain(at_host)
}

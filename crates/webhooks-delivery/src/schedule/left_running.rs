//! Requests that endpoints which are gone have left running.
//!
//! Whoever deletes an endpoint does not end its requests: they hold slots until they respond or
//! time out. By id and by host, because a new registration may keep either of the two.

use std::collections::HashMap;

use url::Url;
use webhooks_core::WebhookEndpoint;

/// Requests in flight at endpoints that were deleted or replaced. They count against the caps of
/// those that have the id now, and of the same tenant's at the same host, until the last of them
/// ends: or an endpoint that is deleted and registered again and again would multiply its cap.
#[derive(Debug, Default)]
pub(super) struct LeftRunning(HashMap<Place, usize>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Id(String),
    /// Tenant and host: hosts are shared by many tenants, who shall not pay for each other.
    Host(Option<String>, String),
}

impl LeftRunning {
    /// An endpoint is gone, with so many requests in flight.
    pub(super) fn add(&mut self, endpoint: &WebhookEndpoint, requests: usize) {
        if requests == 0 {
            return;
        }
        for place in places(endpoint) {
            *self.0.entry(place).or_default() += requests;
        }
    }

    /// One of them has ended.
    pub(super) fn remove_one(&mut self, endpoint: &WebhookEndpoint) {
        for place in places(endpoint) {
            if let Some(count) = self.0.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&place);
                }
            }
        }
    }

    /// Whether it counts the same as another.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// How many of them count against this endpoint.
    pub(super) fn against(&self, endpoint: &WebhookEndpoint) -> usize {
        // Asked before each start, and nearly always empty: a URL need not be parsed for that.
        if self.0.is_empty() {
            return 0;
        }
        // The larger, not the sum: a request at the same id and host is counted in both.
        let counts = places(endpoint).filter_map(|place| self.0.get(&place).copied());
        counts.max().unwrap_or(0)
    }
}

fn places(endpoint: &WebhookEndpoint) -> impl Iterator<Item = Place> {
    let host = Url::parse(&endpoint.url).ok();
    let host = host.and_then(|url| url.host_str().map(str::to_owned));
    let at_host = host.map(|host| Place::Host(endpoint.tenant.clone(), host));
    std::iter::once(Place::Id(endpoint.id.clone())).chain(at_host)
}

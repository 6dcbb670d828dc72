//! Requests of endpoints that are no more.
//!
//! A deletion does not end a request. So until that ends by itself it counts to the cap of whoever
//! comes in its place: of an endpoint of the same id, and of those of the same tenant at the same
//! host. Otherwise deleting and registering again would multiply what one receiver gets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use url::Url;
use webhooks_core::storage::EndpointRecord;

use crate::dispatcher::{Dispatcher, lock};
use crate::lane::Lane;

/// The requests in flight of all endpoints that are deleted or replaced.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    all: AtomicUsize,
    counts: Mutex<HashMap<Key, usize>>,
}

/// What an endpoint shares with one that comes in its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(String),
    Place {
        tenant: Option<String>,
        host: String,
    },
}

/// The place of an endpoint, by which others are known to be in it too.
#[derive(Clone, Debug)]
pub(crate) struct Standing(Arc<[Key]>);

impl Standing {
    pub(crate) fn of(record: &EndpointRecord) -> Self {
        let endpoint = &record.endpoint;
        let url = Url::parse(&endpoint.url).ok();
        let place = url.as_ref().and_then(Url::host_str).map(|host| Key::Place {
            tenant: endpoint.tenant.clone(),
            host: host.to_owned(),
        });
        let keys = [Some(Key::Id(endpoint.id.clone())), place];
        Self(keys.into_iter().flatten().collect())
    }
}

impl Leftover {
    /// The endpoint is gone, with so many requests in flight.
    pub(crate) fn add(&self, standing: &Standing, requests: usize) {
        if requests == 0 {
            return;
        }
        let mut counts = lock(&self.counts);
        for key in standing.0.iter() {
            *counts.entry(key.clone()).or_default() += requests;
        }
        self.all.fetch_add(requests, Ordering::SeqCst);
    }

    /// One of them ended.
    pub(crate) fn ended(&self, standing: &Standing) {
        let mut counts = lock(&self.counts);
        for key in standing.0.iter() {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
        self.all.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many there are in this place.
    pub(crate) fn count(&self, standing: &Standing) -> usize {
        // Nearly always, and asked before each request.
        if self.all.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let counts = lock(&self.counts);
        let of = |key| counts.get(key).copied().unwrap_or(0);
        // What has the same id mostly was at the same host: then it is in both.
        standing.0.iter().map(of).max().unwrap_or(0)
    }
}

impl Dispatcher {
    /// After a request of an endpoint that is gone: those in its place may have waited for its end.
    pub(crate) fn left_over_ended(&self, lane: &Lane) {
        if lane.lock().record.deleted {
            for other in self.hand.lanes() {
                self.turns.push(&other, &mut other.lock());
            }
        }
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use better_auth_webhooks::Timestamp;
use better_auth_webhooks::storage::spi::StatDelta;
use better_auth_webhooks::storage::{StatBucket, StatNumbers, StatQuery, StatResolution};

/// Numbers over time: of each endpoint, by the length and the begin of the bucket.
#[derive(Debug, Default)]
pub(crate) struct Numbers(BTreeMap<(&'static str, Timestamp, Arc<str>), StatNumbers>);

impl Numbers {
    pub(crate) fn add(&mut self, deltas: &[StatDelta]) {
        for delta in deltas.iter().filter(|delta| !delta.numbers.is_empty()) {
            for resolution in StatResolution::ALL {
                let at = resolution.begin(delta.at);
                let bucket = (resolution.as_str(), at, Arc::clone(&delta.endpoint_id));
                self.0.entry(bucket).or_default().add(&delta.numbers);
            }
        }
    }

    pub(crate) fn find(&self, query: &StatQuery) -> Vec<StatBucket> {
        let mut found = BTreeMap::<_, StatNumbers>::new();
        for ((resolution, at, id), numbers) in &self.0 {
            let of_length = *resolution == query.resolution.as_str();
            let of_time = query.from <= *at && *at < query.to;
            let ids = query.endpoint_ids.as_ref();
            if of_length && of_time && ids.is_none_or(|ids| ids.contains(id)) {
                let id = query.per_endpoint.then(|| Arc::clone(id));
                found.entry((*at, id)).or_default().add(numbers);
            }
        }
        let found = found.into_iter();
        found
            .map(|((at, id), numbers)| StatBucket::new(at, id, numbers))
            .collect()
    }

    /// Drops what is older than it is kept. How many buckets there were, at most `limit`.
    pub(crate) fn sweep(&mut self, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        for resolution in StatResolution::ALL {
            self.0.retain(|(length, at, _), _| {
                let is_old = *length == resolution.as_str() && now.since(*at) >= resolution.kept();
                let goes = is_old && dropped < limit;
                dropped += usize::from(goes);
                !goes
            });
        }
        dropped
    }
}

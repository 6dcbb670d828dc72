use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use webhooks_core::Timestamp;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::storage::{StatBucket, StatNumbers, StatQuery, StatResolution};

/// Numbers of one endpoint in one minute or hour, by its begin.
type Buckets = BTreeMap<(Timestamp, Arc<str>), StatNumbers>;

/// Numbers over time. Where there are too many, the oldest fall out.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    minutes: Buckets,
    hours: Buckets,
}

impl Numbers {
    /// Adds numbers to their minute and their hour, of which at most so many are kept.
    pub(crate) fn add(&mut self, deltas: &[StatDelta], most: usize) {
        for resolution in StatResolution::ALL {
            let buckets = self.buckets_mut(*resolution);
            for delta in deltas.iter().filter(|delta| !delta.numbers.is_empty()) {
                let at = resolution.begin(delta.at);
                let bucket = buckets.entry((at, Arc::clone(&delta.endpoint_id)));
                bucket.or_default().add(&delta.numbers);
            }
            while buckets.len() > most {
                buckets.pop_first();
            }
        }
    }

    /// What happened in the buckets that are asked for, by time and endpoint.
    pub(crate) fn find(&self, query: &StatQuery) -> Vec<StatBucket> {
        // A range that ends before it begins would panic.
        if query.from >= query.to {
            return Vec::new();
        }
        let buckets = match query.resolution {
            StatResolution::Minute => &self.minutes,
            StatResolution::Hour => &self.hours,
        };
        let wanted: Option<HashSet<&Arc<str>>> =
            query.endpoint_ids.as_ref().map(|ids| ids.iter().collect());
        // No endpoint has a lesser id than the empty one.
        let first = |at| (at, Arc::from(""));
        let mut found = BTreeMap::<_, StatNumbers>::new();
        for ((at, id), numbers) in buckets.range(first(query.from)..first(query.to)) {
            if wanted.as_ref().is_none_or(|wanted| wanted.contains(id)) {
                let endpoint_id = query.per_endpoint.then(|| Arc::clone(id));
                found.entry((*at, endpoint_id)).or_default().add(numbers);
            }
        }
        let buckets = found.into_iter();
        buckets
            .map(|((at, id), numbers)| StatBucket::new(at, id, numbers))
            .collect()
    }

    /// Drops what is older than it is kept. How many buckets there were, at most `limit`.
    pub(crate) fn sweep(&mut self, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        for resolution in StatResolution::ALL {
            let cutoff = now.before(resolution.kept());
            let buckets = self.buckets_mut(*resolution);
            while dropped < limit {
                let oldest = buckets.first_entry();
                let Some(oldest) = oldest.filter(|bucket| bucket.key().0 <= cutoff) else {
                    break;
                };
                oldest.remove();
                dropped += 1;
            }
        }
        dropped
    }

    const fn buckets_mut(&mut self, resolution: StatResolution) -> &mut Buckets {
        match resolution {
            StatResolution::Minute => &mut self.minutes,
            StatResolution::Hour => &mut self.hours,
        }
    }
}

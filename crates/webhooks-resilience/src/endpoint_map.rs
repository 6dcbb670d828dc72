//! Something per endpoint, made when first asked for and dropped again when it says nothing.
//!
//! A shard that has grown to its bound is swept: what is idle goes, and the bound becomes twice what
//! is left. So each insertion pays for one visit of a sweep at most, and the map holds at most twice
//! as many entries as are not idle, plus [`SWEEP_FROM`] a shard.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use webhooks_core::Timestamp;

/// Shards, so that a sweep of many entries holds up few askers.
const SHARDS: usize = 16;
/// Entries that a shard holds before it is first swept.
const SWEEP_FROM: usize = 64;

/// What a map can drop.
pub(crate) trait Entry {
    /// Whether a new entry made at `now` would behave the same.
    fn is_idle(&self, now: Timestamp) -> bool;
}

/// Entries by endpoint id.
#[derive(Debug)]
pub(crate) struct EndpointMap<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<V> {
    entries: HashMap<Box<str>, V>,
    sweep_at: usize,
}

impl<V: Entry> EndpointMap<V> {
    pub(crate) fn new() -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                entries: HashMap::new(),
                sweep_at: SWEEP_FROM,
            })
        };
        Self {
            shards: std::array::from_fn(shard),
            hasher: RandomState::new(),
        }
    }

    /// Calls `with` on the entry of the endpoint, made by `make` if there is none.
    pub(crate) fn entry<R>(
        &self,
        endpoint_id: &str,
        now: Timestamp,
        make: impl FnOnce() -> V,
        with: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut shard = self.shard(endpoint_id);
        if let Some(entry) = shard.entries.get_mut(endpoint_id) {
            return with(entry);
        }
        shard.sweep(now);
        with(shard.entries.entry(endpoint_id.into()).or_insert_with(make))
    }

    /// Calls `with` on the entry of the endpoint, if there is one.
    pub(crate) fn get<R>(&self, endpoint_id: &str, with: impl FnOnce(&V) -> R) -> Option<R> {
        self.shard(endpoint_id).entries.get(endpoint_id).map(with)
    }

    pub(crate) fn remove(&self, endpoint_id: &str) -> Option<V> {
        self.shard(endpoint_id).entries.remove(endpoint_id)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| lock(s).entries.len()).sum()
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "any bits of the hash will do, and the remainder is below the number of shards"
    )]
    fn shard(&self, endpoint_id: &str) -> MutexGuard<'_, Shard<V>> {
        lock(&self.shards[self.hasher.hash_one(endpoint_id) as usize % SHARDS])
    }
}

impl<V: Entry> Shard<V> {
    fn sweep(&mut self, now: Timestamp) {
        if self.entries.len() < self.sweep_at {
            return;
        }
        self.entries.retain(|_, entry| !entry.is_idle(now));
        self.sweep_at = SWEEP_FROM.max(2 * self.entries.len());
        self.entries.shrink_to(self.sweep_at);
    }
}

/// Entries are never left half changed, so that a panic elsewhere under the lock does no harm.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Something per endpoint, made when first asked for and dropped again when it says nothing.
//!
//! A shard that has grown to its bound is swept: what is idle goes, and the bound becomes twice what
//! is left. So each insertion pays for one visit of a sweep at most, and the map holds at most twice
//! as many entries as are not idle, plus [`SWEEP_FROM`] a shard.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use webhooks_core::Timestamp;

/// Shards, so that a sweep of many entries holds up few askers.
const SHARDS: usize = 16;
/// Entries that a shard holds before it is first swept.
const SWEEP_FROM: usize = 64;

/// What a map can drop.
pub(crate) trait Entry {
    /// Whether a new entry made at `now` would behave the same.
    ///
    /// What is dropped is made anew when it is asked for. One that is not idle has to stay: a
    /// dropped breaker would forget its failures, a dropped bucket give a second burst.
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
    /// By the hash that has chosen the shard, so that an id is hashed once.
    entries: HashTable<(Box<str>, V)>,
    sweep_at: usize,
}

impl<V: Entry> EndpointMap<V> {
    pub(crate) fn new() -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                entries: HashTable::new(),
                sweep_at: SWEEP_FROM,
            })
        };
        Self {
            shards: std::array::from_fn(shard),
            hasher: RandomState::new(),
        }
    }

    /// Calls `with` on the entry of the endpoint, made by `make` if there is none.
    ///
    /// Under the lock of the endpoint's shard, so that two callers never make an entry each. `with`
    /// must not come back to this map: it would wait for itself.
    pub(crate) fn entry<R>(
        &self,
        endpoint_id: &str,
        now: Timestamp,
        make: impl FnOnce() -> V,
        with: impl FnOnce(&mut V) -> R,
    ) -> R {
        let hash = self.hasher.hash_one(endpoint_id);
        let rehash = |(id, _): &(Box<str>, V)| self.hasher.hash_one(&**id);
        let mut shard = self.shard(hash);
        // Before the look-up, which may insert: the bound is kept at each insertion.
        if shard.entries.len() >= shard.sweep_at {
            shard.sweep(now, rehash);
        }
        match shard
            .entries
            .entry(hash, |(id, _)| **id == *endpoint_id, rehash)
        {
            Slot::Occupied(mut slot) => with(&mut slot.get_mut().1),
            Slot::Vacant(slot) => {
                let mut slot = slot.insert((endpoint_id.into(), make()));
                with(&mut slot.get_mut().1)
            }
        }
    }

    /// Calls `with` on the entry of the endpoint, if there is one.
    pub(crate) fn get<R>(&self, endpoint_id: &str, with: impl FnOnce(&V) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(endpoint_id);
        let shard = self.shard(hash);
        let entry = shard.entries.find(hash, |(id, _)| **id == *endpoint_id);
        entry.map(|(_, entry)| with(entry))
    }

    /// Takes the entry of the endpoint out, if there is one. Handles to it that are held elsewhere
    /// live on.
    pub(crate) fn remove(&self, endpoint_id: &str) -> Option<V> {
        let hash = self.hasher.hash_one(endpoint_id);
        let mut shard = self.shard(hash);
        let slot = shard
            .entries
            .find_entry(hash, |(id, _)| **id == *endpoint_id);
        slot.ok().map(|slot| slot.remove().0.1)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| lock(s).entries.len()).sum()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "any bits of the hash will do, and the remainder is below the number of shards"
    )]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<V>> {
        // The table takes the lowest and the highest bits.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }
}

impl<V: Entry> Shard<V> {
    fn sweep(&mut self, now: Timestamp, rehash: impl Fn(&(Box<str>, V)) -> u64) {
        self.entries.retain(|(_, entry)| !entry.is_idle(now));
        self.sweep_at = SWEEP_FROM.max(2 * self.entries.len());
        self.entries.shrink_to(self.sweep_at, rehash);
    }
}

/// Entries are never left half changed, so that a panic elsewhere under the lock does no harm.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

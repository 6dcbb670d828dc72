//! Events that this process has handled, in memory.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use webhooks_core::Timestamp;

use crate::{Claim, SeenStore, clock};

/// How long an event is remembered, unless set otherwise: one day.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many events are remembered, unless set otherwise.
const CAPACITY: usize = 100_000;

/// Remembers in memory which events this process has handled, and which it is handling.
///
/// Clones share one memory. It is bounded: when it is full, the event that was handled longest ago
/// is forgotten; when it is full of events that are being handled right now, a new one is answered
/// with [`Claim::InProgress`], so that its sender tries again later. Choose the capacity to hold at
/// least what arrives within the receiver's tolerance.
#[derive(Clone)]
pub struct SeenEvents(Arc<Shared>);

struct Shared {
    capacity: usize,
    max_age: Duration,
    memory: Mutex<Memory>,
}

impl SeenEvents {
    /// Remembers at most `capacity` events (at least one), each for `max_age`.
    ///
    /// [`SeenEvents::default`] takes 100,000 events and 24 hours.
    #[must_use]
    pub fn new(capacity: usize, max_age: Duration) -> Self {
        Self(Arc::new(Shared {
            capacity: capacity.max(1),
            max_age,
            memory: Mutex::default(),
        }))
    }

    /// Claims an event at the time of the wall clock. Of any number of callers at the same time one
    /// at most gets [`Claim::New`].
    pub fn claim(&self, id: &str) -> Claim<SeenGuard> {
        self.claim_at(id, clock::now())
    }

    /// Claims an event at a given time, from which its age counts.
    pub fn claim_at(&self, id: &str, now: Timestamp) -> Claim<SeenGuard> {
        let mut memory = self.memory();
        // Also one that is still in progress grows too old: its handler may hang, and the event
        // must not be lost with it. Should it end after all, its token no longer fits.
        if let Some(entry) = memory.entries.get(id)
            && now.since(entry.at) < self.0.max_age
        {
            return if entry.done {
                Claim::Done
            } else {
                Claim::InProgress
            };
        }
        memory.entries.remove(id);
        // Room first: a memory that is full of running claims must answer that it is, and not
        // forget one of them, which would be handled twice.
        if !memory.make_room(self.0.capacity, self.0.max_age, now) {
            return Claim::InProgress;
        }
        let (id, token) = memory.begin(id, now);
        Claim::New(SeenGuard {
            seen: self.clone(),
            id,
            token,
        })
    }

    /// How many events are remembered, those in progress included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory().entries.len()
    }

    /// Whether no event is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics while it holds the lock.
        let lock = self.0.memory.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SeenEvents {
    fn default() -> Self {
        Self::new(CAPACITY, MAX_AGE)
    }
}

impl fmt::Debug for SeenEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenEvents")
            .field("events", &self.len())
            .field("capacity", &self.0.capacity)
            .field("max_age", &self.0.max_age)
            .finish()
    }
}

impl SeenStore for SeenEvents {
    type Guard = SeenGuard;
    type Error = Infallible;

    fn claim(&self, id: &str) -> impl Future<Output = Result<Claim<SeenGuard>, Infallible>> + Send {
        ready(Ok(Self::claim(self, id)))
    }

    fn commit(&self, guard: SeenGuard) -> impl Future<Output = Result<(), Infallible>> + Send {
        guard.commit();
        ready(Ok(()))
    }
}

/// The right to handle one event. Dropping it gives the claim up, so that a handler that fails,
/// panics or is cancelled leaves the event to its next attempt.
#[must_use = "a guard that is dropped gives its claim up"]
pub struct SeenGuard {
    seen: SeenEvents,
    id: Arc<str>,
    token: u64,
}

impl SeenGuard {
    /// The id of the claimed event.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Keeps the claim: the event was handled.
    pub fn commit(self) {
        // By the token: a claim that grew too old meanwhile has a successor, whose outcome this is
        // not.
        self.seen.memory().commit(&self.id, self.token);
        // Dropping the guard gives up only what is still in progress.
    }

    /// Gives the claim up, as dropping the guard does.
    pub fn release(self) {}
}

impl Drop for SeenGuard {
    fn drop(&mut self) {
        self.seen.memory().release(&self.id, self.token);
    }
}

impl fmt::Debug for SeenGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeenGuard").field(&self.id).finish()
    }
}

/// A token tells a claim from a later one on the same id, after the first grew too old.
struct Entry {
    token: u64,
    at: Timestamp,
    done: bool,
}

#[derive(Default)]
struct Memory {
    entries: HashMap<Arc<str>, Entry>,
    /// What was handled, in that order. A record whose token is gone means nothing.
    done: VecDeque<(u64, Arc<str>)>,
    last_token: u64,
}

impl Memory {
    fn begin(&mut self, id: &str, now: Timestamp) -> (Arc<str>, u64) {
        self.last_token += 1;
        let id: Arc<str> = id.into();
        let entry = Entry {
            token: self.last_token,
            at: now,
            done: false,
        };
        self.entries.insert(id.clone(), entry);
        (id, self.last_token)
    }

    fn commit(&mut self, id: &Arc<str>, token: u64) {
        let entry = self.entries.get_mut(id).filter(|e| e.token == token);
        if let Some(entry) = entry {
            entry.done = true;
            self.done.push_back((token, id.clone()));
        }
    }

    fn release(&mut self, id: &str, token: u64) {
        // What is done stays, so that dropping the guard after a commit changes nothing.
        let held = |entry: &Entry| entry.token == token && !entry.done;
        if self.entries.get(id).is_some_and(held) {
            self.entries.remove(id);
        }
    }

    /// Forgets what is too old, and then what was handled longest ago while there is no room for
    /// one more. Says whether there is room.
    fn make_room(&mut self, capacity: usize, max_age: Duration, now: Timestamp) -> bool {
        // Oldest commit first; a record whose claim was replaced or given up is passed over.
        while let Some((token, id)) = self.done.front() {
            let entry = self.entries.get(id).filter(|e| e.token == *token);
            let keep = entry.is_some_and(|e| now.since(e.at) < max_age);
            if keep && self.entries.len() < capacity {
                break;
            }
            if entry.is_some() {
                self.entries.remove(id);
            }
            self.done.pop_front();
        }
        if self.entries.len() >= capacity {
            // Only claims in progress are left; one that was leaked must not stay for ever.
            self.entries.retain(|_, e| now.since(e.at) < max_age);
        }
        self.entries.len() < capacity
    }
}

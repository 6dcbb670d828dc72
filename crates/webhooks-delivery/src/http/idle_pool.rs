//! The connections that no request uses at the moment, of all targets together.
//!
//! Each takes a descriptor, of which the process has so many for everything: so there are never more
//! than a number in all, and for one more the one is closed that was idle for longest.
//!
//! The newest connection is used first, so that after a burst the older ones age and are closed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::http::connection::Connection;
use crate::http::network::Target;

/// How often connections that became too old are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// The connections that no request uses at the moment.
pub(crate) struct IdlePool {
    /// In all; from the limit of open files, unless it is set.
    most: usize,
    /// As many as there are requests at a time: more could not be used at once.
    most_per_target: usize,
    idle: Mutex<Idle>,
    /// Stops with its owner.
    sweeper: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Idle {
    /// By the order in which they came, the oldest first.
    connections: BTreeMap<u64, Box<Connection>>,
    /// The numbers of those to one target, in the same order.
    by_target: HashMap<Arc<Target>, SmallVec<[u64; 4]>>,
    /// Numbers are never used again, and order connections by when they became idle.
    came: u64,
}

impl IdlePool {
    pub(crate) fn new(most: usize, most_per_target: usize) -> Self {
        Self {
            most,
            most_per_target,
            idle: Mutex::default(),
            sweeper: Mutex::default(),
        }
    }

    /// Closes what becomes too old, from now on, until the last owner is gone.
    pub(crate) fn keep_sweeping(self: &Arc<Self>) {
        let mut sweeper = lock(&self.sweeper);
        if sweeper.is_empty() {
            // Weak, or the task would keep the pool, and with it every connection, for ever.
            // Started by the first request, since an engine is built outside a runtime.
            sweeper.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// A connection that can be used at once, the one that was used last.
    pub(crate) fn take(&self, target: &Target, now: Instant) -> Option<Box<Connection>> {
        let mut idle = lock(&self.idle);
        // One that is not fresh is dropped on the way, and with it closed.
        while let Some(mut connection) = idle.newest(target) {
            if connection.is_fresh(now) {
                connection.use_at(now);
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, connection: Box<Connection>) {
        let mut idle = lock(&self.idle);
        if idle.count(&connection.target) >= self.most_per_target {
            return;
        }
        idle.add(connection);
        let too_many = idle.connections.len() > self.most;
        let closed = too_many.then(|| idle.oldest());
        // Closing is a system call: not under the lock that each request takes.
        drop(idle);
        drop(closed);
    }

    /// Closes so many, those that were idle for longest.
    pub(crate) fn close_oldest(&self, count: usize) {
        let mut idle = lock(&self.idle);
        (0..count).map_while(|_| idle.oldest()).for_each(drop);
    }

    fn sweep(&self, now: Instant) {
        let mut idle = lock(&self.idle);
        let all = idle.connections.iter();
        // What waits is closed within a quarter of a minute after it became too old, also at
        // targets to which nothing is sent any more.
        let old: Vec<_> = all
            .filter(|(_, c)| !c.is_fresh(now))
            .map(|(n, _)| *n)
            .collect();
        old.into_iter().for_each(|number| drop(idle.remove(number)));
    }
}

impl Idle {
    fn count(&self, target: &Target) -> usize {
        self.by_target.get(target).map_or(0, SmallVec::len)
    }

    fn add(&mut self, connection: Box<Connection>) {
        self.came += 1;
        let of_target = self.by_target.entry(Arc::clone(&connection.target));
        of_target.or_default().push(self.came);
        self.connections.insert(self.came, connection);
    }

    fn newest(&mut self, target: &Target) -> Option<Box<Connection>> {
        let number = *self.by_target.get(target)?.last()?;
        self.remove(number)
    }

    fn oldest(&mut self) -> Option<Box<Connection>> {
        let number = *self.connections.first_key_value()?.0;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<Box<Connection>> {
        let connection = self.connections.remove(&number)?;
        if let Some(of_target) = self.by_target.get_mut(&connection.target) {
            if let Ok(place) = of_target.binary_search(&number) {
                of_target.remove(place);
            }
            if of_target.is_empty() {
                self.by_target.remove(&connection.target);
            }
        }
        Some(connection)
    }
}

impl fmt::Debug for IdlePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdlePool")
            .field("most", &self.most)
            .field("idle", &lock(&self.idle).connections.len())
            .finish_non_exhaustive()
    }
}

async fn sweep(pool: Weak<IdlePool>) {
    let mut ticks = interval(SWEEP);
    loop {
        let now = ticks.tick().await;
        match pool.upgrade() {
            Some(pool) => pool.sweep(now),
            None => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

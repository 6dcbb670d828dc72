//! What was read of the storage a moment ago.
//!
//! This is why a revoked key, a revoked token and a changed event type live on for up to 5 seconds in
//! processes that did not make the change. The process that made it calls [`Remembered::forget`] or
//! [`Remembered::remember`], and sees it at once.
//!
//! An id without a value is remembered as well. Otherwise each guess at a key would cost a read of the
//! storage. Such ids fill the map, so it is emptied when it is full of values that still count: that
//! costs reads, and never a wrong answer.
//!
//! [`Remembered::last`] ignores the time. It serves one question alone, whether a caller is known so far
//! as not to be refused for what strangers guess. It lets nobody in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a value counts for what it was: another node sees a change this much later.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// Values by id that are read for each request, remembered for 5 s, so that a busy caller does not
/// cost a read of the storage for each. There may be no value under an id, which is remembered, too.
pub(crate) struct Remembered<T> {
    /// Ids that are remembered at most. With more in use each is read more often.
    most: usize,
    known: Mutex<HashMap<String, Known<T>>>,
}

/// What was read of an id.
struct Known<T> {
    /// None if there was nothing.
    value: Option<Arc<T>>,
    /// Until when that counts.
    until: Instant,
}

impl<T> Remembered<T> {
    /// Remembers so many ids at most.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    /// What was read of an id lately; `None` if it is to be read.
    pub(crate) fn known(&self, id: &str) -> Option<Option<Arc<T>>> {
        let known = self.lock();
        let known = known.get(id).filter(|known| known.until > Instant::now());
        known.map(|known| known.value.clone())
    }

    /// What was last read of an id, however long ago.
    pub(crate) fn last(&self, id: &str) -> Option<Arc<T>> {
        let known = self.lock();
        known.get(id).and_then(|known| known.value.clone())
    }

    /// Takes note of what is kept under an id.
    pub(crate) fn remember(&self, id: &str, value: Option<Arc<T>>) {
        let mut known = self.lock();
        let now = Instant::now();
        if known.len() >= self.most {
            known.retain(|_, known| known.until > now);
            // Guesses at ids fill it, too: none of them may hold a place for longer than a moment.
            if known.len() >= self.most {
                known.clear();
            }
        }
        let until = now + KNOWN_FOR;
        known.insert(id.to_owned(), Known { value, until });
    }

    /// The next request reads it anew.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known<T>>> {
        // What it holds is right at any moment, whoever panicked beside it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Remembered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        f.debug_struct("Remembered")
            .field("ids", &self.lock().len())
            .field("most", &self.most)
            .finish()
    }
}

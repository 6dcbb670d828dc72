//! Locks that outlive a panic.
//!
//! Nothing here is broken by a panic of another holder beyond what that holder was at: one request
//! that fails oddly is better than a process that fails for good.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what no panic leaves half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

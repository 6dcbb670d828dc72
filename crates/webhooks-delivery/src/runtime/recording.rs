//! Whether what comes of requests is written down.
//!
//! The order of its stores matters to who shuts down: [`works`](Recording::works) comes before
//! entries leave the scheduler, and [`rests`](Recording::rests) after they are stored. At any
//! moment an entry is thus in the scheduler, or here `is_working` or `parked` says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tries of one call that fail until that is no hiccup any more.
/// With the pauses between them three failures take a few hundred milliseconds.
const HICCUPS: usize = 3;

/// How the recorder gets on, for who asks.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    is_working: AtomicBool,
    /// Entries that the storage refuses for good.
    parked: AtomicUsize,
    /// Tries in a row that failed.
    failures: AtomicUsize,
}

impl Recording {
    /// A try failed.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::SeqCst);
    }

    /// A try succeeded.
    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::SeqCst);
    }

    /// Entries are about to be taken out of the scheduler.
    pub(super) fn works(&self) {
        self.is_working.store(true, Ordering::SeqCst);
    }

    /// All that was taken out is written down or parked.
    pub(super) fn rests(&self) {
        self.is_working.store(false, Ordering::SeqCst);
    }

    pub(super) fn set_parked(&self, parked: usize) {
        self.parked.store(parked, Ordering::SeqCst);
    }

    /// Whether what is to be written down is, but for hiccups.
    pub(crate) fn is_well(&self) -> bool {
        self.parked() == 0 && self.failures.load(Ordering::SeqCst) < HICCUPS
    }

    /// How many entries the storage refuses for good.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::SeqCst)
    }

    /// Whether everything that was taken out of the scheduler is written down. To be asked after the
    /// scheduler was asked for entries: what it had before is taken out by then.
    pub(crate) fn is_done(&self) -> bool {
        self.parked() == 0 && !self.is_working.load(Ordering::SeqCst)
    }
}

//! Deliveries that may bring the process down.

use std::sync::atomic::{AtomicBool, Ordering};

/// The place of the one suspect delivery that this process has in hand, or asks for. There is one
/// place, so that the next death shows which delivery is guilty.
#[derive(Debug, Default)]
pub(crate) struct SuspectPlace(AtomicBool);

impl SuspectPlace {
    /// Takes the place, if it is free.
    pub(crate) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Gives the place back.
    pub(crate) fn free(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

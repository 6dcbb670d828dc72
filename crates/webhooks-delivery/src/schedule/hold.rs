//! Until when nothing of an endpoint may start.
//!
//! Two sources set a hold, and a read of the storage may be older than a decision of this process.
//! They are kept apart so that such a read cannot open the lane: a request would start against a
//! `Retry-After` that was just received.

use webhooks_core::Timestamp;

/// Until when nothing of an endpoint may start: by what is stored, and by what this process has
/// decided and not stored yet, of which what is read from the storage meanwhile does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    /// Storage time; what all processes see.
    stored: Option<Timestamp>,
    /// Storage time; dropped once a read shows what became of it in the storage.
    decided: Option<Timestamp>,
}

impl Hold {
    /// As it is stored.
    pub(super) const fn read(stored: Option<Timestamp>) -> Self {
        Self {
            stored,
            decided: None,
        }
    }

    /// Whether it is over.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.stored.max(self.decided) <= Some(now)
    }

    /// This process lets nothing start before this time; to be stored.
    pub(super) fn decide(&mut self, until: Timestamp) {
        // Never shortened here: the storage keeps the later end, too.
        self.decided = self.decided.max(Some(until));
    }

    /// The storage has this.
    pub(super) const fn set_stored(&mut self, stored: Option<Timestamp>) {
        self.stored = stored;
    }

    /// What was decided is void.
    pub(super) const fn forget_decided(&mut self) {
        self.decided = None;
    }

    /// What was decided is stored, and not read yet; `until` when, if that is how long it holds.
    pub(super) fn was_stored(&mut self, until: Option<Timestamp>) {
        self.stored = self.stored.max(until);
        self.was_read(until);
    }

    /// What was decided is stored, and was read since.
    pub(super) fn was_read(&mut self, until: Option<Timestamp>) {
        // A longer hold that was decided meanwhile is still on its way.
        if until.is_none() || self.decided <= until {
            self.decided = None;
        }
    }
}

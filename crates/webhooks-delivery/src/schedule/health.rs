//! For how long an endpoint has only failed.
//!
//! Several processes may send to one endpoint, and each sees a part of its responses. The storage
//! keeps the one time since when it has only failed; a success anywhere ends that time, also where
//! the process that had the success read of the failure only afterwards.

use std::time::Duration;

use webhooks_core::Timestamp;
use webhooks_core::storage::GateState;

/// How much the times may differ that two processes read at the same moment. A failure that came so
/// short after a success does not begin the time of failing: the next one does.
const SKEW: Duration = Duration::from_secs(1);
/// The part of the time to auto-disabling after which the operator is warned.
/// A fifth of the time is left for the operator to act: a day of the five that are the default.
const WARN_AFTER: f64 = 0.8;

/// For how long an endpoint has only failed, as far as this process has seen or read.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// What was read last, or the first failure that was seen here since; `None` while the endpoint
    /// is well.
    failing_since: Option<Timestamp>,
    /// The last success here, in this epoch.
    succeeded_at: Option<Timestamp>,
    /// The operator was warned that the endpoint will be disabled.
    is_warned: bool,
    /// An endpoint that failed elsewhere has had a success here since, of which nobody was told yet.
    has_recovered: bool,
}

/// What one more failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// Nothing yet.
    Bearable,
    /// The endpoint will be disabled at `disabled_at`, and nobody was warned yet.
    Warn {
        since: Timestamp,
        disabled_at: Timestamp,
    },
    /// It has failed for too long.
    TooLong,
}

impl Health {
    /// As it is stored.
    pub(super) fn read(gate: &GateState) -> Self {
        Self {
            failing_since: gate.failing_since,
            ..Self::default()
        }
    }

    /// A success; whether it ends a time of failing.
    pub(super) fn succeeded(&mut self, now: Timestamp) -> bool {
        self.succeeded_at = Some(now);
        let ends = self.failing_since.take().is_some();
        self.is_warned &= !ends;
        ends
    }

    /// Whether a failure now is the first.
    pub(super) const fn is_well(&self) -> bool {
        self.failing_since.is_none()
    }

    /// A failure of an endpoint that is disabled after failing for so long.
    pub(super) fn failed(&mut self, disable_after: Option<Duration>, now: Timestamp) -> Failing {
        // Kept if it is set: the time counts from the first failure.
        let since = *self.failing_since.get_or_insert(now);
        let Some(after) = disable_after else {
            return Failing::Bearable;
        };
        if now.since(since) >= after {
            return Failing::TooLong;
        }
        if self.is_warned || now.since(since) < after.mul_f64(WARN_AFTER) {
            return Failing::Bearable;
        }
        self.is_warned = true;
        Failing::Warn {
            since,
            disabled_at: since.after(after),
        }
    }

    /// Takes over since when the endpoint has failed, by what all processes have seen. One that has
    /// had a success since, and did not know that it ended something, ends it now.
    pub(super) fn set_stored(&mut self, since: Option<Timestamp>) {
        let is_news = since.is_some() && since != self.failing_since;
        let succeeded = self.succeeded_at.map(|at| at.after(SKEW));
        // Only news can be ended so: what was known here was ended by the success itself.
        self.has_recovered = is_news && since <= succeeded;
        self.failing_since = since;
        self.is_warned &= since.is_some();
    }

    /// Whether a success here ended what was read, which is then to be told.
    pub(super) fn take_recovered(&mut self) -> bool {
        let has_recovered = std::mem::take(&mut self.has_recovered);
        if has_recovered {
            self.failing_since = None;
        }
        has_recovered
    }

    /// What succeeded in an epoch that is over says nothing any more.
    pub(super) const fn forget_success(&mut self) {
        self.succeeded_at = None;
    }
}

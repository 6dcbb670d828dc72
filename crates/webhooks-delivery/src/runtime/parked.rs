//! What the storage refuses to write down.
//!
//! An outcome must not be lost, and one that is refused must not hold up the others. So it stays
//! here, in memory and leased. If the process dies, the delivery is taken back and made again: at
//! least once holds, and the receiver may see it twice.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use webhooks_core::WebhookError;

use super::retrying::error_source;
use crate::schedule::Entry;

/// The pause before the first try.
/// A refusal is seldom over in less.
const FIRST: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(300);
/// Entries of one round that are logged by name.
/// A broken table may refuse everything, and the log must stay readable.
const NAMED: usize = 10;

/// Entries that were refused for good, each alone, while those beside them were written down. They
/// stay leased and in hand, and are tried again now and then: somebody may mend the cause.
#[derive(Debug)]
pub(crate) struct Parked {
    /// As many as leases at most, with the gates of these endpoints.
    entries: Vec<Entry>,
    /// Of the whole round: all are tried again together.
    due: Instant,
    pause: Duration,
    /// Of this round.
    logged: usize,
}

impl Parked {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            due: Instant::now(),
            pause: FIRST,
            logged: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns when they are to be tried again; never while there is none.
    pub(crate) async fn is_due(&self) {
        if self.entries.is_empty() {
            std::future::pending::<()>().await;
        }
        sleep_until(self.due).await;
    }

    /// Puts in front of a batch what is to be tried again with it: all when they are due, and before
    /// that the gates of endpoints of which the batch has later ones.
    pub(crate) fn join(&mut self, batch: &mut Vec<Entry>) {
        if self.entries.is_empty() {
            // Everything was stored in the end, so that the next refusal begins anew.
            self.pause = FIRST;
            return;
        }
        if self.due <= Instant::now() {
            self.pause = (self.pause * 2).min(LONGEST);
            self.logged = 0;
            // The older ones go first: a gate must not be stored over one that was decided after
            // it.
            let new = std::mem::replace(batch, std::mem::take(&mut self.entries));
            return batch.extend(new);
        }
        let gated = |entry: &Entry| match entry {
            Entry::Gate(gate, _) => Some(gate.endpoint_id.clone()),
            Entry::Settle { .. } => None,
        };
        // The same order for those that are not due: the later gate is about to be stored, and the
        // parked one, tried after it, would undo it.
        let later: HashSet<_> = batch.iter().filter_map(gated).collect();
        let is_first = |entry: &mut Entry| gated(entry).is_some_and(|id| later.contains(&id));
        let first: Vec<_> = self.entries.extract_if(.., is_first).collect();
        batch.splice(..0, first);
    }

    /// Keeps an entry that was refused.
    pub(crate) fn keep(&mut self, entry: Entry, error: &WebhookError) {
        if self.entries.is_empty() {
            // Set by the first of a round, and drawn, so that processes do not all come at once.
            self.due = Instant::now() + self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        }
        self.logged += 1;
        if self.logged <= NAMED {
            let (what, delivery_id, endpoint_id) = match &entry {
                Entry::Settle { settlement, .. } => (
                    "settlement",
                    Some(settlement.delivery_id),
                    &settlement.endpoint_id,
                ),
                Entry::Gate(gate, _) => ("gate", None, &gate.endpoint_id),
            };
            tracing::error!(
                %error,
                source = error_source(error),
                delivery_id = delivery_id.map(tracing::field::display),
                %endpoint_id,
                refused = self.entries.len() + 1,
                "the storage refuses a {what} for good; it is kept aside and tried again"
            );
        }
        self.entries.push(entry);
    }
}

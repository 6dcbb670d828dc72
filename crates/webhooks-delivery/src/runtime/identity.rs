//! Under which id a process leases.
//!
//! The contract gives a lease to a worker id, and tokens fence off who held a delivery before. Two
//! processes under one id would both hold the same tokens, and each would send what the other
//! holds. A virtual machine that is cloned or restored from a snapshot makes such a copy, random
//! numbers and all.

use std::sync::Mutex;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::Beat;
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::lock::lock;

/// The worker id of a process, which is its own for as long as its beats show nobody else's beats
/// between them. Another holder is a copy of this process: of its machine's memory, say.
#[derive(Debug)]
pub(crate) struct Identity {
    worker: Mutex<WorkerId>,
    /// The storage's time of the last beat; `None` while it is not known, because the answer to a
    /// later one was lost. Held while a beat is on its way, so that none looks like another's.
    last: tokio::sync::Mutex<Option<Timestamp>>,
}

impl Identity {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self {
            worker: Mutex::new(worker),
            last: tokio::sync::Mutex::new(None),
        }
    }

    /// The id for what is leased from now on.
    pub(crate) fn worker(&self) -> WorkerId {
        lock(&self.worker).clone()
    }

    /// Beats. If somebody else has beaten under the same id, this process takes a new one, and what
    /// it holds is [lost](Beat::lost): neither of the two may take the other's leases for its own.
    pub(crate) async fn beat(&self, storage: &dyn WebhookStorage) -> Result<Beat> {
        let mut last = self.last.lock().await;
        let worker = self.worker();
        // Until an answer comes, the last beat may be this one or the one before.
        // If this call is cut off, it stays `None`: the next beat cannot tell its own lost one from
        // another's, and does not judge.
        let own = last.take();
        let mut beat = storage.beat(Some(&worker), None).await?;
        // A beat later than the own last one is somebody else's.
        if own.is_none_or(|own| beat.before.is_none_or(|before| before <= own)) {
            *last = Some(beat.now);
            return Ok(beat);
        }
        // Asked of the operating system, since a copy has the same random state in memory.
        let new = WorkerId::unique();
        tracing::error!(
            %worker,
            %new,
            "another process beats under this one's id, as after a copy of a machine's memory; \
             this one takes a new id"
        );
        lock(&self.worker).clone_from(&new);
        let rescued = beat.rescued;
        beat = storage.beat(Some(&new), None).await?;
        *last = Some(beat.now);
        Ok(Beat {
            // The leases under the id of before are the copy's as well, and run out if it takes a
            // new id, too.
            lost: true,
            rescued: beat.rescued + rescued,
            ..beat
        })
    }
}

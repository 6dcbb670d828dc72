//! What the storage says of all processes together, for who watches them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use webhooks_core::{ClusterSnapshot, Result};

use super::retrying::error_source;
use super::worker::Worker;

/// How long an answer is good for.
/// Every process of a system is asked every few seconds, perhaps by several: what each look costs the
/// storage must not grow with that.
const KEPT: Duration = Duration::from_secs(5);
/// How long an answer is waited for.
/// Who asks waits with it, mostly for no more than ten seconds, and should get the rest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at what the storage says of all processes, at most every [`KEPT`].
#[derive(Debug)]
pub(crate) struct Cluster {
    worker: Arc<Worker>,
    /// Also that there was none. Locked while it is asked, so that those who come together ask once.
    last: Mutex<Option<(Instant, Option<ClusterSnapshot>)>>,
}

impl Cluster {
    pub(crate) fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            last: Mutex::default(),
        }
    }

    /// What the storage said last, some seconds ago at most; `None` if it does not answer.
    pub(crate) async fn look(&self) -> Option<ClusterSnapshot> {
        let mut last = self.last.lock().await;
        if let Some((at, told)) = *last
            && at.elapsed() < KEPT
        {
            return told;
        }
        let told = match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(told)) => Some(told),
            Ok(Err(error)) => {
                tracing::warn!(%error, source = error_source(&error), "cannot look at the cluster");
                None
            }
            Err(_) => {
                tracing::warn!("cannot look at the cluster, the storage does not answer");
                None
            }
        };
        *last = Some((Instant::now(), told));
        told
    }

    async fn ask(&self) -> Result<ClusterSnapshot> {
        let storage = &self.worker.storage;
        let counts = storage.counts(None).await?;
        let now = self.worker.now();
        let oldest = storage.oldest_ready(now).await?;
        let mut told = ClusterSnapshot::default();
        told.counts = counts;
        told.oldest_ready = oldest.map_or(Duration::ZERO, |since| now.since(since));
        Ok(told)
    }
}

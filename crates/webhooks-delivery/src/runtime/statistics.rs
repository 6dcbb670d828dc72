//! Numbers over time, as the storage keeps them for all processes.
//!
//! Apart from settlements: what is counted may be lost with its process, and must not slow down what
//! may not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use webhooks_core::storage::spi::StatDelta;

use super::driver::Driver;
use super::retrying::error_source;
use super::worker::Worker;

/// How often the storage is told.
/// What a process that dies has not told is missing in the numbers.
const EVERY: Duration = Duration::from_secs(10);
/// Endpoints of one call.
const PART: usize = 500;
/// Endpoints whose numbers are kept for a storage that fails, at most; older ones are dropped.
const MOST: usize = 100_000;

/// Tells the storage what has happened.
#[derive(Debug)]
pub(crate) struct Statistics {
    driver: Arc<Driver>,
    worker: Arc<Worker>,
    /// What the storage has not taken yet.
    untold: Mutex<Vec<StatDelta>>,
}

impl Statistics {
    pub(crate) fn new(driver: Arc<Driver>, worker: Arc<Worker>) -> Self {
        Self {
            driver,
            worker,
            untold: Mutex::default(),
        }
    }

    /// Tells the storage again and again.
    pub(crate) async fn keep_telling(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.tell().await;
        }
    }

    /// Tells the storage what has happened until now. After a failure the next call does.
    pub(crate) async fn tell(&self) {
        let mut untold = self.untold.lock().await;
        let at = self.worker.now();
        untold.extend(self.driver.tell(|scheduler, _| scheduler.take_stats(at)));
        let too_many = untold.len().saturating_sub(MOST);
        untold.drain(..too_many);
        while !untold.is_empty() {
            let count = untold.len().min(PART);
            let part = untold.get(..count).unwrap_or_default();
            if let Err(error) = self.worker.storage.add_stats(part).await {
                tracing::warn!(%error, source = error_source(&error), "cannot store statistics");
                return;
            }
            untold.drain(..count);
        }
    }
}

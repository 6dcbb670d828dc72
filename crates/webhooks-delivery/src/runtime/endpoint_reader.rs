//! Reads changed endpoints.
//!
//! All changes reach the scheduler through here, in the order of their revisions. A process that
//! sends knows all endpoints by this, and reads none for an event.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use webhooks_core::Result;
use webhooks_core::storage::WebhookStorage;

use super::driver::Driver;
use super::retrying::error_source;
use crate::notice::Notice;
use crate::schedule::Scheduler;

/// Endpoints of one page.
/// A page is one input under the scheduler's lock, so that it must not be long.
const PAGE: usize = 1_000;

/// Reads endpoints that have changed, and tells the scheduler of them.
#[derive(Debug)]
pub(crate) struct EndpointReader {
    storage: Arc<dyn WebhookStorage>,
    driver: Arc<Driver>,
    /// One at a time, so that an older page never overwrites a newer one.
    reading: Mutex<()>,
}

impl EndpointReader {
    pub(crate) fn new(storage: Arc<dyn WebhookStorage>, driver: Arc<Driver>) -> Self {
        Self {
            storage,
            driver,
            reading: Mutex::default(),
        }
    }

    /// Reads what has changed since the last time.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let _one = self.reading.lock().await;
        loop {
            // Asked again for each page: the scheduler, not this loop, knows what was taken in.
            let since = self.revision();
            let changes = self.storage.endpoints_since(since, PAGE).await?;
            let is_more = changes.more;
            for record in &changes.records {
                let notices = self.driver.notices();
                notices.tell(|| Notice::endpoint_changed(record));
            }
            self.driver
                .tell(|scheduler, now| scheduler.endpoints_changed(now, changes));
            if !is_more {
                return Ok(());
            }
        }
    }

    /// As [`refresh`](Self::refresh); `false` after a failure, which is logged. The next beat
    /// tries again.
    pub(crate) async fn try_refresh(&self) -> bool {
        let refreshed = self.refresh().await;
        if let Err(error) = &refreshed {
            tracing::warn!(%error, source = error_source(error), "cannot read endpoints");
        }
        refreshed.is_ok()
    }

    /// Waits for a refresh that runs, and keeps the next one from starting.
    ///
    /// While the guard is held no page is on its way from the storage to the scheduler.
    pub(crate) async fn pause(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// The revision up to which endpoints are known.
    pub(crate) fn revision(&self) -> u64 {
        self.driver
            .look(|scheduler: &Scheduler, _| scheduler.revision())
    }
}

//! What a process does by the clock: it beats, follows changed endpoints, ticks and sweeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use webhooks_core::Result;
use webhooks_core::storage::Retention;

use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::retrying::error_source;
use super::worker::Worker;

/// Between two beats. Well under what the storage asks for, since the same call tells of changed
/// endpoints and of events in the outbox, which both take effect within a second.
const BEAT: Duration = Duration::from_millis(800);
/// Between two sweeps that found nothing more to do.
const SWEEP: Duration = Duration::from_secs(60);
/// Rows of one sweep.
const SWEEP_ROWS: usize = 1_000;

/// Beats.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
    /// This process claims deliveries, and so beats for their leases.
    pub(crate) leases: bool,
    /// Told when there may be something in the outbox.
    pub(crate) outbox: Arc<Notify>,
    /// Told when there may be fan-outs that are not done.
    pub(crate) fan_outs: Arc<Notify>,
}

impl Upkeep {
    /// Beats once and reads all endpoints: after that the process can send.
    pub(crate) async fn first_beat(&self) -> Result<()> {
        self.beat().await?;
        self.endpoints.refresh().await
    }

    /// Beats for as long as the system lives.
    pub(crate) async fn keep_beating(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.beat().await {
                Ok(revision) if revision != self.endpoints.revision() => {
                    self.endpoints.try_refresh().await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, source = error_source(&error), "cannot beat");
                }
            }
        }
    }

    /// Beats; the newest revision of endpoints.
    async fn beat(&self) -> Result<u64> {
        let (beat, asked) = self.worker.beat(self.leases).await?;
        if beat.lost {
            tracing::warn!(
                worker = %self.worker.id(),
                "the leases of this process were lost; what it had in hand may run twice"
            );
        }
        if self.leases {
            self.driver
                .tell(|scheduler, now| scheduler.beaten(now, asked, beat.lost));
        }
        if beat.outbox {
            self.outbox.notify_one();
            self.fan_outs.notify_one();
        }
        if beat.rescued > 0 {
            let deliveries = beat.rescued;
            tracing::warn!(deliveries, "took back the deliveries of dead workers");
            self.driver.claim.notify_one();
        }
        Ok(beat.revision)
    }
}

/// Tells the scheduler of the time, while time alone may change what can start.
pub(crate) async fn keep_ticking(driver: Arc<Driver>) {
    loop {
        match driver.look(|scheduler, _| scheduler.next_wake()) {
            Some(pause) => tokio::time::sleep(pause).await,
            // An idle process is not woken for nothing.
            None => driver.watch.notified().await,
        }
        driver.tell(|scheduler, now| scheduler.tick(now));
    }
}

/// Sweeps what the retention no longer keeps.
pub(crate) async fn keep_sweeping(worker: Arc<Worker>, retention: Retention) {
    loop {
        tokio::time::sleep(SWEEP).await;
        while worker.clock.is_told() {
            let began = Instant::now();
            let swept = worker.storage.sweep(&retention, SWEEP_ROWS, worker.now());
            match swept.await {
                // A pause as long as the work, so that a large sweep does not crowd out deliveries
                // and yet keeps up with many.
                Ok(swept) if swept.more => tokio::time::sleep(began.elapsed()).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, source = error_source(&error), "cannot sweep");
                    break;
                }
            }
        }
    }
}

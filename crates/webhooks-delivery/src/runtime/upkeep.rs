//! What a process does by the clock: it beats, follows changed endpoints, ticks and sweeps.
//!
//! Each is a loop of its own, so that a slow sweep delays no beat. Beats come first in importance:
//! ten seconds without a stored one, and the process starts nothing; two more, and others take its
//! deliveries.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use webhooks_core::storage::Retention;
use webhooks_core::{Happening, Result};

use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::retrying::error_source;
use super::worker::Worker;

/// Between two beats. Well under what the storage asks for, since the same call tells of changed
/// endpoints and of events in the outbox, which both take effect within a second.
const BEAT: Duration = Duration::from_millis(800);
/// Between two sweeps that found nothing more to do.
/// Retention is in days, so that a minute more does not matter.
const SWEEP: Duration = Duration::from_secs(60);
/// Rows of one sweep.
/// Short calls, between which the storage serves others.
const SWEEP_ROWS: usize = 1_000;

/// Beats.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
    /// This process claims deliveries, and so beats for their leases.
    pub(crate) leases: bool,
    /// Told when endpoints have changed.
    pub(crate) changed: Notify,
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
        // After a beat that took long the next one comes a full interval later: several at once
        // would only load a storage that is slow already.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.beat().await {
                // In a task of its own: a read that takes ten seconds must not hold the next beat
                // up, or the leases would be lost.
                Ok(revision) if revision != self.endpoints.revision() => self.changed.notify_one(),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, source = error_source(&error), "cannot beat");
                }
            }
        }
    }

    /// Reads endpoints whenever a beat tells of changes. A read that fails is made again after the
    /// next beat.
    pub(crate) async fn keep_reading(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            self.endpoints.try_refresh().await;
        }
    }

    /// Beats; the newest revision of endpoints.
    async fn beat(&self) -> Result<u64> {
        // Its clock is set before the scheduler is told, which reads it.
        let (beat, asked) = self.worker.beat(self.leases).await?;
        if beat.lost {
            tracing::warn!(
                worker = %self.worker.id(),
                "the leases of this process were lost; what it had in hand may run twice"
            );
            self.tell(Happening::LeasesLost);
        }
        // One that only sends holds no lease, and starts nothing.
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
            self.tell(Happening::Rescued { deliveries });
            self.driver.claim.notify_one();
        }
        Ok(beat.revision)
    }

    fn tell(&self, happening: Happening) {
        let observer = self.driver.observer();
        observer.tell(|observer| observer.happened(happening));
    }
}

/// Tells the scheduler of the time, while time alone may change what can start.
pub(crate) async fn keep_ticking(driver: Arc<Driver>) {
    loop {
        match driver.look(|scheduler, _| scheduler.next_wake()) {
            // The input that leads to ticks commands `Watch`; `Notify` keeps it if this task is not
            // waiting yet.
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
        // By this machine's own time, which may be wrong by years, everything could look old enough
        // to be dropped.
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

//! The tasks of a pipeline, and what they share.
//!
//! Each of them runs until it is aborted, and tries again what fails.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;

use crate::runtime::{
    Claimer, Committer, Driver, EndpointReader, FanOuts, LostLeases, Outbox, Recorder, Recording,
    Sender, Upkeep, Worker, keep_sweeping, keep_ticking,
};
use crate::settings::Settings;

/// A task of the pipeline.
pub(crate) type Task = futures_util::future::BoxFuture<'static, ()>;

/// What the tasks of a pipeline share.
pub(crate) struct Parts {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
    /// A claim or a commit failed, and perhaps only its answer was lost; or the storage does not know
    /// a lease. Told by claimers, the committer and the recorder, waited for by the search for lost
    /// leases.
    pub(crate) leases_unknown: Arc<Notify>,
}

impl Parts {
    /// What writes down, and what finds leases that nobody knows of.
    pub(crate) fn record(&self, spawn: &mut impl FnMut(Task)) -> Arc<Recording> {
        let recording = Arc::new(Recording::default());
        let recorder = Recorder {
            driver: self.driver.clone(),
            worker: self.worker.clone(),
            endpoints: self.endpoints.clone(),
            recording: recording.clone(),
            leases_unknown: self.leases_unknown.clone(),
        };
        spawn(Box::pin(recorder.run()));
        let lost = LostLeases {
            driver: self.driver.clone(),
            worker: self.worker.clone(),
            unknown: self.leases_unknown.clone(),
        };
        spawn(Box::pin(lost.keep_giving_back()));
        recording
    }

    /// What stores events.
    pub(crate) fn send(
        &self,
        settings: &Settings,
        spawn: &mut impl FnMut(Task),
    ) -> (Sender, Arc<FanOuts>) {
        let (driver, worker) = (self.driver.clone(), self.worker.clone());
        let fan_outs = FanOuts::new(driver.clone(), worker.clone(), self.endpoints.clone());
        let fan_outs = Arc::new(fan_outs);
        let leases_unknown = self.leases_unknown.clone();
        let (committer, committing) = Committer::new(
            driver.clone(),
            worker.clone(),
            self.endpoints.clone(),
            leases_unknown,
        );
        spawn(Box::pin(committing));
        let sender = Sender {
            driver,
            worker,
            committer,
            endpoints: self.endpoints.clone(),
            fan_outs: fan_outs.clone(),
            settings: settings.clone(),
        };
        (sender, fan_outs)
    }

    /// What is done by the clock, and what a beat tells of.
    pub(crate) fn keep_up(
        &self,
        settings: &Settings,
        fan_outs: Arc<FanOuts>,
        refused: &Arc<AtomicUsize>,
        spawn: &mut impl FnMut(Task),
    ) -> Arc<Upkeep> {
        let outbox = Outbox {
            driver: self.driver.clone(),
            worker: self.worker.clone(),
            endpoints: self.endpoints.clone(),
            fan_outs: fan_outs.clone(),
            max_retries: settings.retry_strategy.max_retries,
            keep_unmatched: settings.keep_unmatched,
            refused: refused.clone(),
        };
        let upkeep = Arc::new(Upkeep {
            driver: self.driver.clone(),
            worker: self.worker.clone(),
            endpoints: self.endpoints.clone(),
            leases: settings.workers > 0,
            changed: Notify::new(),
            outbox: Arc::default(),
            fan_outs: Arc::default(),
        });
        spawn(Box::pin(outbox.keep_emptying(upkeep.outbox.clone())));
        spawn(Box::pin(fan_outs.keep_finishing(upkeep.fan_outs.clone())));
        spawn(Box::pin(upkeep.clone().keep_beating()));
        spawn(Box::pin(upkeep.clone().keep_reading()));
        spawn(Box::pin(keep_ticking(self.driver.clone())));
        spawn(Box::pin(keep_sweeping(
            self.worker.clone(),
            settings.retention,
        )));
        upkeep
    }

    /// What claims.
    ///
    /// Without workers nothing claims: a process that only sends also starts nothing straight
    /// through, since it does not beat for leases.
    pub(crate) fn claim(&self, settings: &Settings, spawn: &mut impl FnMut(Task)) {
        let claimer = Claimer {
            driver: self.driver.clone(),
            worker: self.worker.clone(),
            endpoints: self.endpoints.clone(),
            rate_limit: settings.rate_limit,
            leases_unknown: self.leases_unknown.clone(),
            help: Arc::default(),
        };
        if settings.workers > 0 {
            spawn(Box::pin(claimer.clone().watch()));
        }
        for _ in 1..settings.workers {
            spawn(Box::pin(claimer.clone().help()));
        }
    }
}

//! Runs jobs, step by step, until they end: those that were made here, and those whose process has
//! died.
//!
//! Each step is one bounded change of the storage, then one write of the job. Who dies between the two
//! leaves a step that is done again, and finds nothing to change: what it changed was changed after
//! the job began.
//!
//! # Who runs a job
//! A job names its run. A runner writes a job only over the revision that it knows. If that fails, it
//! reads the job: under its own name somebody asked for a stop, and it goes on with the new revision;
//! under another name the job was taken over, and it ends without a word. So a job has one writer, even
//! if a process that was thought dead comes back.
//!
//! # When a job is taken over
//! Each process looks every 10 seconds for jobs that run and were not written for 30 seconds. Each tries
//! to write its own name; the storage lets one of them win.
//!
//! # What a step may cost
//! A step changes 1,000 deliveries at most, so that no change holds the storage for long. With a rate, a
//! step changes that many and a second passes before the next. The rate is thus an upper bound: the time
//! of the step comes on top.
//!
//! # Failures
//! A passing failure of the storage is tried again every 2 seconds without end: the job is a promise that
//! was given. Any other error would come again, so it ends the job as `failed`, with its text.

use std::sync::{Arc, Weak};
use std::time::Duration;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::Expected;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::job::{Job, JobState};
use crate::documents::{Documents, Kept};
use crate::problem::Problem;

/// Deliveries of one step at most.
const STEP: usize = 1_000;
/// How long a job is kept after its last step.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// A job that was not moved on for so long has nobody who runs it: steps and pauses between tries
/// together take less.
const SILENT: Duration = Duration::from_secs(30);
/// Between two looks for such jobs.
const LOOK: Duration = Duration::from_secs(10);
/// Between two tries of a step that failed.
const PAUSE: Duration = Duration::from_secs(2);
/// Jobs that are looked at, newest first. A job that goes on is among the newest of a month.
const LOOKED_AT: usize = 1_000;

/// Steps that whoever listens may fall behind by.
const STEPS: usize = 64;

/// Runs the jobs of one process.
#[derive(Debug)]
pub(crate) struct JobRunner {
    system: WebhookSystem,
    pub(super) jobs: Documents,
    /// Told of each job after each of its steps.
    steps: broadcast::Sender<Arc<Kept<Job>>>,
}

impl JobRunner {
    /// The runner of this process.
    pub(crate) fn new(system: WebhookSystem) -> Arc<Self> {
        Arc::new(Self {
            jobs: Documents::new(system.clone(), "job"),
            steps: broadcast::Sender::new(STEPS),
            system,
        })
    }

    /// Takes over what nobody runs, for as long as the runner is in use.
    pub(crate) fn watch(self: &Arc<Self>) {
        let runner = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(()) = take_over(&runner).await {
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    /// The name of a run, which stands in its job. Each has its own, also in one process: one that comes
    /// back after its job was taken over finds another name there, and ends.
    pub(super) fn new_run() -> Arc<str> {
        Uuid::now_v7().to_string().into()
    }

    /// Runs a job to its end; its run is named in it.
    pub(super) fn start(self: &Arc<Self>, job: Kept<Job>) {
        let runner = self.clone();
        tokio::spawn(async move { runner.run(job).await });
    }

    /// Goes on with a job until it has ended, or is another run's.
    async fn run(&self, mut job: Kept<Job>) {
        tracing::info!(job_id = job.id, "a job goes on");
        while job.value.state == JobState::Running {
            match self.step(&job.value).await {
                Ok(stepped) => match self.keep(job, stepped).await {
                    Some(kept) => job = kept,
                    None => return,
                },
                Err(problem) => {
                    tracing::warn!(job_id = job.id, error = problem.detail(), "a step failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if job.value.rate_per_second.is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        tracing::info!(job_id = job.id, state = ?job.value.state, "a job has ended");
    }

    /// The job after one more step.
    ///
    /// # Errors
    ///
    /// A step that may be tried again. One that may not ends the job.
    async fn step(&self, job: &Job) -> Result<Job, Problem> {
        let mut job = job.clone();
        let now = self.jobs.now()?;
        if job.stop {
            job.end(JobState::Stopped, now);
            return Ok(job);
        }
        let rate = job
            .rate_per_second
            .and_then(|rate| usize::try_from(rate).ok());
        let limit = rate.unwrap_or(STEP).clamp(1, STEP);
        let query = job.query()?;
        let changed = self.system.change_some(&query, job.action.change(), limit);
        match changed.await {
            Ok(changed) => {
                job.changed += u64::try_from(changed.changed).unwrap_or(0);
                job.before = changed.next;
                if changed.next.is_none() {
                    job.end(JobState::Done, now);
                }
            }
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                job.problem = Some(error.to_string());
                job.end(JobState::Failed, now);
            }
        }
        job.updated_at = now;
        Ok(job)
    }

    /// Keeps what a step has come to; `None` if another run has the job.
    async fn keep(&self, before: Kept<Job>, stepped: Job) -> Option<Kept<Job>> {
        let mut kept = Kept {
            value: stepped,
            ..before
        };
        loop {
            match self.put(&kept).await {
                Ok(Some(revision)) => return Some(Kept { revision, ..kept }),
                Ok(None) => {
                    // Somebody wants it to stop, or has taken it over.
                    let stored = self.jobs.get::<Job>(&kept.id).await;
                    match stored {
                        Ok(Some(stored)) if stored.value.run == kept.value.run => {
                            kept.value.stop |= stored.value.stop;
                            kept.revision = stored.revision;
                        }
                        Ok(_) => return None,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
                Err(problem) => {
                    tracing::warn!(
                        job_id = kept.id,
                        error = problem.detail(),
                        "a job is not kept"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Keeps a job, if it is still the one that was read; its new revision.
    pub(super) async fn put(&self, job: &Kept<Job>) -> Result<Option<u64>, Problem> {
        let expected = match job.revision {
            0 => Expected::Absent,
            revision => Expected::Revision(revision),
        };
        let put = self
            .jobs
            .put(&job.id, &job.value, expected, Some(KEPT))
            .await?;
        if put.is_some() {
            // Most of the time nobody listens.
            let _heard = self.steps.send(Arc::new(job.clone()));
        }
        Ok(put)
    }

    /// Jobs of this process after each step. Who is too slow misses steps, and sees the next one.
    pub(super) fn steps(&self) -> broadcast::Receiver<Arc<Kept<Job>>> {
        self.steps.subscribe()
    }

    /// Jobs that go on and that nobody runs.
    async fn silent(&self) -> Result<Vec<Kept<Job>>, Problem> {
        let now = self.jobs.now()?;
        let newest = self
            .jobs
            .list::<Job>(None, true, LOOKED_AT)
            .await?
            .into_iter();
        let is_silent = |job: &Job| now.since(job.updated_at) >= SILENT;
        let silent = newest.filter(|job| job.value.state == JobState::Running);
        Ok(silent.filter(|job| is_silent(&job.value)).collect())
    }
}

/// Takes over what nobody runs; `None` once the runner is not in use any more.
async fn take_over(runner: &Weak<JobRunner>) -> Option<()> {
    let runner = runner.upgrade()?;
    if !runner.jobs.are_kept() {
        return Some(());
    }
    let silent = match runner.silent().await {
        Ok(silent) => silent,
        Err(problem) => {
            tracing::debug!(error = problem.detail(), "jobs cannot be looked at");
            return Some(());
        }
    };
    for mut job in silent {
        job.value.run = JobRunner::new_run();
        if let Ok(now) = runner.jobs.now() {
            job.value.updated_at = now;
        }
        // Of several that want it, one gets it.
        if let Ok(Some(revision)) = runner.put(&job).await {
            tracing::warn!(job_id = job.id, "takes over a job whose process is silent");
            runner.start(Kept { revision, ..job });
        }
    }
    Some(())
}

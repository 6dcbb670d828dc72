//! Changes of many deliveries: counted first, done in the background, stopped when somebody wants.
//!
//! # Which deliveries
//! The set is chosen by a filter and by the time at which the job began. What a job changes gets a newer
//! time and no longer matches, so a step that is done twice finds nothing more to do. To erase is the
//! exception: a payload is erased also where the state of its delivery has changed meanwhile, and to erase
//! it twice changes nothing. A job goes through its deliveries from the newest to the oldest, so those that
//! are made while it runs do not keep it from its end.
//!
//! # Guards
//! `expected_count` refuses a job that would reach more than the caller counted before. A filter that
//! chooses everything has to be said with `all`: a filter that a client forgot is an error and not a job
//! over all deliveries. A tenant's job holds the ids of the tenant's endpoints of when it was made.

use better_auth_webhooks::storage::DeliveryQuery;
use http::StatusCode;
use uuid::Uuid;
use webhooks_core::Timestamp;

use super::audit::Action;
use super::delivery_filter::DeliveryFilter;
use super::job::{Job, JobAction, JobState};
use super::job_runner::JobRunner;
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::documents::Kept;
use crate::problem::Problem;

/// How far what matches is counted.
const COUNTED: u64 = 100_000;
/// The most deliveries of a second.
const MAX_RATE: u32 = 1_000;

/// A job that is to be made.
#[derive(Debug)]
pub(crate) struct JobRequest {
    /// What is to be done to each delivery.
    pub(crate) action: JobAction,
    /// Which deliveries.
    pub(crate) filter: DeliveryFilter,
    /// A filter that chooses everything is meant.
    pub(crate) all: bool,
    /// More than so many is not what the caller means.
    pub(crate) expected_count: Option<u64>,
    /// Deliveries a second at most.
    pub(crate) rate_per_second: Option<u32>,
}

/// How many deliveries match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matched {
    pub(crate) matched: u64,
    /// There may be more: it was counted no further.
    pub(crate) capped: bool,
}

impl Ops {
    /// How many deliveries a job would look at.
    ///
    /// # Errors
    ///
    /// As [`create_job`](Self::create_job).
    pub(crate) async fn dry_job(
        &self,
        caller: &Caller,
        request: &JobRequest,
    ) -> Result<Matched, Problem> {
        Ok(self.prepare(caller, request).await?.1)
    }

    /// Makes a job, which goes on by itself from now on.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without the scope of the action; 422 `invalid-job` for neither a filter nor `all`,
    /// for both, or for a number out of its bounds; 409 `more-than-expected` if more deliveries match than
    /// the caller expects. Nothing was changed then.
    pub(crate) async fn create_job(
        &self,
        caller: &Caller,
        request: JobRequest,
    ) -> Result<Kept<Job>, Problem> {
        let (query, counted) = self.prepare(caller, &request).await?;
        let now = began(self.now()?);
        let id = format!("job_{}", Uuid::now_v7().simple());
        let action = match request.action {
            JobAction::Replay => Action::JobReplay,
            JobAction::Resend => Action::JobResend,
            JobAction::Cancel => Action::JobCancel,
            JobAction::Purge => Action::JobPurge,
            JobAction::Erase => Action::JobErase,
        };
        self.note(caller, action, &id, Vec::new()).await?;
        let mut job = Kept {
            id,
            revision: 0,
            value: Job {
                action: request.action,
                filter: request.filter,
                endpoint_ids: query.endpoint_ids,
                state: JobState::Running,
                stop: false,
                matched: counted.matched,
                matched_capped: counted.capped,
                changed: 0,
                rate_per_second: request.rate_per_second,
                created_by: caller.actor.clone(),
                tenant: caller.tenant.clone(),
                created_at: now,
                updated_at: now,
                finished_at: None,
                problem: None,
                run: JobRunner::new_run(),
                before: None,
            },
        };
        let put = self.runner.put(&job).await?;
        job.revision = put.ok_or_else(|| Problem::wrong_state("try again"))?;
        self.runner.start(job.clone());
        Ok(job)
    }

    /// Jobs, newest first, behind the id `after`; a tenant's are those that its callers made.
    pub(crate) async fn jobs(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Kept<Job>>, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.runner.jobs.list(after, true, limit).await
    }

    /// One job.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `deliveries:read`; 404 `not-found`, also for a job of another tenant.
    pub(crate) async fn job(&self, caller: &Caller, id: &str) -> Result<Kept<Job>, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.seen_job(caller, id).await
    }

    /// The job with this id, if the caller may see it.
    async fn seen_job(&self, caller: &Caller, id: &str) -> Result<Kept<Job>, Problem> {
        let found = self.runner.jobs.get::<Job>(id).await?;
        let found = found.filter(|job| is_seen(caller, &job.value));
        found.ok_or_else(|| Problem::not_found(format!("there is no job {id:?}")))
    }

    /// Lets a job stop after its step of now. What it has changed stays changed.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `deliveries:write`; 404 `not-found`; 409 `wrong-state` if the job has ended,
    /// or if its steps changed it before each of 20 tries.
    pub(crate) async fn stop_job(&self, caller: &Caller, id: &str) -> Result<Kept<Job>, Problem> {
        const TRIES: usize = 20;
        caller.needs(Scope::DeliveriesWrite)?;
        for _ in 0..TRIES {
            let mut job = self.seen_job(caller, id).await?;
            if job.value.state != JobState::Running {
                let text = format!("{id} has ended");
                return Err(Problem::wrong_state(text));
            }
            if job.value.stop {
                return Ok(job);
            }
            self.note(caller, Action::JobStop, id, Vec::new()).await?;
            job.value.stop = true;
            // Each step changes it as well.
            if let Some(revision) = self.runner.put(&job).await? {
                return Ok(Kept { revision, ..job });
            }
        }
        Err(Problem::wrong_state(
            "the job goes on too quickly; try again",
        ))
    }

    /// What a job is to look at, and how many deliveries that is.
    async fn prepare(
        &self,
        caller: &Caller,
        request: &JobRequest,
    ) -> Result<(DeliveryQuery, Matched), Problem> {
        caller.needs(request.action.scope())?;
        check(request)?;
        let now = began(self.now()?);
        let mut query = request.action.query(request.filter.clone(), None, now)?;
        self.narrow(caller, &mut query).await?;
        let expected = request.expected_count.unwrap_or(0);
        let at_most = COUNTED.max(expected.saturating_add(1));
        let matched = self.system.count(&query, at_most).await?;
        let counted = Matched {
            matched,
            capped: matched >= at_most,
        };
        match request.expected_count {
            Some(expected) if matched > expected => {
                let text = format!("{matched} match, and {expected} are expected");
                Err(Problem::new(
                    StatusCode::CONFLICT,
                    "more-than-expected",
                    text,
                ))
            }
            _ => Ok((query, counted)),
        }
    }
}

/// Whether a job is the caller's to see.
pub(crate) fn is_seen(caller: &Caller, job: &Job) -> bool {
    caller.tenant.is_none() || job.tenant == caller.tenant
}

/// A time before which everything was changed that is there: those of this very millisecond, too.
fn began(now: Timestamp) -> Timestamp {
    now.after(std::time::Duration::from_millis(1))
}

/// Refuses what cannot be meant, before anything is counted.
fn check(request: &JobRequest) -> Result<(), Problem> {
    if request.filter.is_empty() != request.all {
        let text = "a job needs a filter, or all, and not both";
        return Err(Problem::invalid("invalid-job", text).at("/filter"));
    }
    let (rate, most) = (request.rate_per_second, 1..=MAX_RATE);
    if rate.is_some_and(|rate| !most.contains(&rate)) {
        let text = format!("rate_per_second needs 1 to {MAX_RATE}");
        return Err(Problem::invalid("invalid-job", text).at("/rate_per_second"));
    }
    if request
        .expected_count
        .is_some_and(|count| count > 1_000_000)
    {
        let text = "expected_count needs 0 to 1,000,000";
        return Err(Problem::invalid("invalid-job", text).at("/expected_count"));
    }
    Ok(())
}

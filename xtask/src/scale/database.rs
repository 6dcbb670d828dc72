//! One database: cores that take calls in turn, what waits in it to be claimed, and its replica.

use std::collections::VecDeque;

use super::costs::Engine;

/// How long a commit is on its way to the replica; assumed.
const SHIPPED: f64 = 1_000.0;

/// What is asked of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Store,
    Claim,
    Settle,
    List,
}

/// One call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) database: usize,
    pub(super) process: usize,
    /// When each delivery of it was sent.
    pub(super) sent: Vec<f64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Database {
    busy: usize,
    waiting: VecDeque<Job>,
    /// When each of what is stored, and which nobody has, was sent.
    pub(super) ready: VecDeque<f64>,
    /// The time that its cores have worked.
    pub(super) worked: f64,
    replay: Replay,
}

/// The commits that the replica has not shown yet.
#[derive(Debug, Default)]
struct Replay {
    /// When each was made, and when the replica shows it.
    commits: VecDeque<(f64, f64)>,
    free_at: f64,
}

impl Database {
    /// Takes a call; answers those that begin now, with the time that each takes.
    pub(super) fn take(&mut self, engine: &Engine, job: Job) -> Option<(Job, f64)> {
        self.waiting.push_back(job);
        self.begin(engine)
    }

    /// A core has ended a call; answers the next one.
    pub(super) fn end(&mut self, engine: &Engine) -> Option<(Job, f64)> {
        self.busy -= 1;
        self.begin(engine)
    }

    fn begin(&mut self, engine: &Engine) -> Option<(Job, f64)> {
        if self.busy == engine.cores {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.busy += 1;
        let time = engine.time(&job) * engine.slowed(self.busy);
        self.worked += time;
        Some((job, time))
    }

    /// A commit of so many deliveries: the replica gets it, and shows it when it is through with what
    /// came before.
    pub(super) fn committed(&mut self, engine: &Engine, rows: usize, now: f64) {
        let begin = self.replay.free_at.max(now + SHIPPED);
        self.replay.free_at = begin + engine.replay * rows as f64;
        self.replay.commits.push_back((now, self.replay.free_at));
    }

    /// How old what the replica shows is: the age of the first commit that it does not show.
    pub(super) fn age(&mut self, now: f64) -> f64 {
        let commits = &mut self.replay.commits;
        while commits.front().is_some_and(|(_, shown)| *shown <= now) {
            commits.pop_front();
        }
        commits.front().map_or(0.0, |(made, _)| now - made)
    }
}

impl Engine {
    /// The time of a core for a call, while no other core is busy.
    fn time(&self, job: &Job) -> f64 {
        match job.kind {
            Kind::Store => self.store.time(job.sent.len()),
            Kind::Claim => self.claim.time(job.sent.len()),
            Kind::Settle => self.settle.time(job.sent.len()),
            Kind::List => self.listing,
        }
    }
}

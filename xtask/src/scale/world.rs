//! The world of a run: databases, processes and receivers on one clock.
//!
//! A send goes to a process of its tenant's database, waits there for the commit before, is stored
//! with what has come meanwhile, and starts at once if its process has a place. What a process has no
//! room for stays ready in the database until a process of it claims it. What ended is settled 2 ms
//! later, with all that has ended by then.

#![expect(
    clippy::indexing_slicing,
    reason = "a number of a database or a process is one that this world has given out"
)]

use super::database::{Database, Job, Kind};
use super::happening::{Agenda, Happening};
use super::outcome::Outcome;
use super::process::{Process, next};
use super::random::Random;
use super::settings::Settings;
use super::tenants::Tenants;

const SECOND: f64 = 1e6;
/// `GATHER` of `recorder.rs` in `webhooks-delivery`.
const GATHER: f64 = 2_000.0;

/// See the module.
#[derive(Debug)]
struct World {
    settings: Settings,
    tenants: Tenants,
    random: Random,
    agenda: Agenda,
    databases: Vec<Database>,
    processes: Vec<Process>,
    outcome: Outcome,
    now: f64,
    /// What is measured begins, and ends; then nothing more is sent.
    from: f64,
    until: f64,
    /// The time that places were taken, of each process.
    taken: Vec<f64>,
}

/// Runs until all that was sent is settled.
pub(super) fn run(settings: Settings) -> Outcome {
    let mut world = World::new(settings);
    world.agenda.tell(0.0, Happening::Send);
    if settings.listings > 0.0 {
        world.agenda.tell(0.0, Happening::List);
    }
    let mut is_measured = false;
    let mut is_over = false;
    while let Some((at, what)) = world.agenda.next() {
        if at >= world.from && !is_measured {
            is_measured = true;
            world.databases.iter_mut().for_each(|d| d.worked = 0.0);
        }
        if at >= world.until && !is_over {
            is_over = true;
            world.close();
        }
        world.now = at;
        world.happen(what);
    }
    world.outcome.done()
}

impl World {
    fn new(settings: Settings) -> Self {
        let databases = settings.databases;
        let processes = settings.processes.max(databases);
        let placed = settings.placed;
        let of = |n| Process {
            database: n % databases,
            ..Process::default()
        };
        let from = (settings.timeout * SECOND).max(SECOND);
        let seed = settings.seed;
        let tenants = Tenants::new(settings.tenants, settings.skew, databases, placed, seed);
        Self {
            random: Random::new(seed ^ 0x5ca1e),
            agenda: Agenda::default(),
            databases: (0..databases).map(|_| Database::default()).collect(),
            processes: (0..processes).map(of).collect(),
            outcome: Outcome::new(&tenants),
            now: 0.0,
            from,
            until: from + settings.seconds * SECOND,
            taken: vec![0.0; processes],
            tenants,
            settings,
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Send => self.send(),
            Happening::List => self.list(),
            Happening::Worked(job) => self.worked(job),
            Happening::Answered(job) => self.answered(*job),
            Happening::Gathered(process) => self.settle(process),
            Happening::Responded(process, sent) => self.responded(process, sent),
        }
    }

    fn is_measured(&self) -> bool {
        (self.from..self.until).contains(&self.now)
    }

    fn send(&mut self) {
        if self.now >= self.until {
            return;
        }
        let pause = self.random.pause(SECOND / self.settings.rate);
        self.agenda.tell(self.now + pause, Happening::Send);
        let database = self.tenants.draw(&mut self.random);
        let count = self.processes.len();
        let step = self.databases.len();
        let of_it = (count - database).div_ceil(step);
        let at = database + step * self.random.below(of_it);
        let is_measured = self.is_measured();
        self.outcome.sent += u64::from(is_measured);
        let process = &mut self.processes[at];
        if !process.takes() {
            self.outcome.refused += u64::from(is_measured);
            return;
        }
        process.to_store.push_back(self.now);
        self.store(at);
    }

    fn list(&mut self) {
        if self.now >= self.until {
            return;
        }
        let pause = self.random.pause(SECOND / self.settings.listings);
        self.agenda.tell(self.now + pause, Happening::List);
        let database = self.tenants.draw(&mut self.random);
        let is_measured = self.is_measured();
        self.outcome.listed += u64::from(is_measured);
        if self.settings.on_replica {
            let age = self.databases[database].age(self.now);
            let is_stale = age > self.settings.stale * 1_000.0;
            self.outcome.stale += u64::from(is_measured && is_stale);
        } else {
            self.call(Kind::List, database, 0, Vec::new());
        }
    }

    fn store(&mut self, at: usize) {
        let process = &mut self.processes[at];
        if process.is_storing || process.to_store.is_empty() {
            return;
        }
        process.is_storing = true;
        let sent = next(&mut process.to_store, &self.settings.engine.store);
        let database = process.database;
        self.call(Kind::Store, database, at, sent);
    }

    fn claim(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let room = process.room(self.settings.places);
        let ready = &mut self.databases[process.database].ready;
        // As claims do, only for so many that it is worth it.
        if process.is_claiming || ready.is_empty() || room < self.settings.places {
            return;
        }
        process.is_claiming = true;
        let mut call = self.settings.engine.claim;
        call.most = call.most.min(room);
        let sent = next(ready, &call);
        let database = process.database;
        self.call(Kind::Claim, database, at, sent);
    }

    fn settle(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let sent = next(&mut process.to_settle, &self.settings.engine.settle);
        process.is_settling = !sent.is_empty();
        let database = process.database;
        if !sent.is_empty() {
            self.call(Kind::Settle, database, at, sent);
        }
    }

    fn call(&mut self, kind: Kind, database: usize, process: usize, sent: Vec<f64>) {
        if self.is_measured() && matches!(kind, Kind::Store | Kind::Settle) {
            self.outcome.calls += 1;
            self.outcome.rows += sent.len() as u64;
        }
        let job = Job {
            kind,
            database,
            process,
            sent,
        };
        let begun = self.databases[database].take(&self.settings.engine, job);
        self.begin(begun);
    }

    fn begin(&mut self, begun: Option<(Job, f64)>) {
        if let Some((job, time)) = begun {
            let job = Box::new(job);
            self.agenda.tell(self.now + time, Happening::Worked(job));
        }
    }

    fn worked(&mut self, job: Box<Job>) {
        let begun = self.databases[job.database].end(&self.settings.engine);
        self.begin(begun);
        let answer = self.settings.engine.answer;
        self.agenda
            .tell(self.now + answer, Happening::Answered(job));
    }

    fn answered(&mut self, job: Job) {
        let at = job.process;
        if matches!(job.kind, Kind::Store | Kind::Settle) {
            let database = &mut self.databases[job.database];
            database.committed(&self.settings.engine, job.sent.len(), self.now);
        }
        match job.kind {
            Kind::List => return,
            Kind::Store => {
                self.outcome.stored += job.sent.len() as u64;
                let process = &mut self.processes[at];
                process.is_storing = false;
                let room = process.room(self.settings.places).min(job.sent.len());
                let (taken, left) = job.sent.split_at(room);
                process.in_hand.extend(taken);
                self.databases[job.database].ready.extend(left);
                self.store(at);
            }
            Kind::Claim => {
                self.processes[at].is_claiming = false;
                self.processes[at].in_hand.extend(job.sent);
            }
            Kind::Settle => {
                self.outcome.settled += job.sent.len() as u64;
                self.agenda.tell(self.now + GATHER, Happening::Gathered(at));
            }
        }
        self.start(at);
        self.claim(at);
    }

    fn start(&mut self, at: usize) {
        while self.processes[at].in_flight < self.settings.places {
            let Some(sent) = self.processes[at].in_hand.pop_front() else {
                return;
            };
            self.processes[at].in_flight += 1;
            if self.is_measured() {
                self.outcome.start(self.now - sent);
            }
            let hangs = self.random.part() < self.settings.hanging;
            let takes = if hangs {
                self.settings.timeout * SECOND
            } else {
                self.random.pause(self.settings.response * 1_000.0)
            };
            let end = self.now + takes;
            self.taken[at] += (end.min(self.until) - self.now.max(self.from)).max(0.0);
            self.agenda.tell(end, Happening::Responded(at, sent));
        }
    }

    fn responded(&mut self, at: usize, sent: f64) {
        let process = &mut self.processes[at];
        process.in_flight -= 1;
        process.to_settle.push_back(sent);
        if !process.is_settling {
            process.is_settling = true;
            self.agenda.tell(self.now + GATHER, Happening::Gathered(at));
        }
        self.start(at);
        self.claim(at);
    }

    /// Reads what was measured, when that ends.
    fn close(&mut self) {
        let time = self.until - self.from;
        let waits_more = self.outcome.sent as f64 - self.outcome.started as f64;
        self.outcome.behind = waits_more / self.settings.seconds;
        let cores = self.settings.engine.cores as f64;
        let worked = self.databases.iter().map(|d| d.worked / (time * cores));
        self.outcome.utilisation = worked.collect();
        let of_one = time * self.settings.places as f64;
        let mut by_database = vec![(0.0, 0.0); self.databases.len()];
        for (process, taken) in self.processes.iter().zip(&self.taken) {
            let (sum, all) = &mut by_database[process.database];
            *sum += taken;
            *all += of_one;
        }
        let shares = by_database.iter().map(|(sum, all)| sum / all);
        self.outcome.busiest_places = shares.fold(0.0, f64::max);
        let taken: f64 = self.taken.iter().sum();
        self.outcome.places = taken / (of_one * self.processes.len() as f64);
    }
}

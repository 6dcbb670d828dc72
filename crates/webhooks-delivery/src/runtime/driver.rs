//! Drives the scheduler: tells it what happens, and does what it commands.
//!
//! Commands are done after the lock is released, by the thread that told the input. Two threads may
//! therefore do theirs in another order than the scheduler gave them; only what needs an order
//! (entries) goes through a queue under the lock.

use std::sync::{Arc, Mutex};

use smallvec::SmallVec;
use tokio::sync::Notify;
use webhooks_core::WorkerId;
use webhooks_core::storage::spi::Enqueued;

use super::attempt::Requests;
use super::moment;
use super::notices::Notices;
use super::storage_clock::StorageClock;
use super::told;
use crate::lock::lock;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::schedule::{Command, Now, Request, Scheduler, Stored};

/// The scheduler of a process behind its one lock, with all that its commands need.
///
/// The lock is held for one input and never across an await, and no other lock of this crate is taken
/// under it, so that there is no order of locks to keep.
#[derive(Debug)]
pub(crate) struct Driver {
    /// A `std` mutex: it is held for microseconds, and an await under it would not compile into a
    /// task.
    scheduler: Mutex<Scheduler>,
    /// Read without a lock.
    clock: Arc<StorageClock>,
    requests: Requests,
    notices: Notices,
    observer: Observer,
    /// There may be something to claim, or room for it.
    /// `Notify` keeps one wake-up that nobody waits for, so that none is lost between a look and a
    /// wait, and many that come together are one.
    pub(crate) claim: Notify,
    /// There is something to be written down.
    pub(crate) record: Notify,
    /// Time alone may change what can start.
    pub(crate) watch: Notify,
    /// Wakes all that wait in [`unless_stopped`](Driver::unless_stopped).
    stopped: Notify,
}

/// Commands that one input leads to, mostly.
type Commands = SmallVec<[Command; 2]>;

impl Driver {
    pub(crate) fn new(
        scheduler: Scheduler,
        clock: Arc<StorageClock>,
        requests: Requests,
        observer: Observer,
    ) -> Self {
        Self {
            scheduler: Mutex::new(scheduler),
            clock,
            requests,
            notices: Notices::new(observer.clone()),
            observer,
            claim: Notify::new(),
            record: Notify::new(),
            watch: Notify::new(),
            stopped: Notify::new(),
        }
    }

    /// Looks at the scheduler, and leaves it as it is.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Scheduler, Now) -> R) -> R {
        let scheduler = lock(&self.scheduler);
        look(&scheduler, self.clock.read())
    }

    /// Tells the scheduler and listeners that events were stored by this worker.
    pub(crate) fn stored<'a>(
        self: &Arc<Self>,
        worker: &WorkerId,
        events: impl IntoIterator<Item = (Stored<'a>, &'a Enqueued)> + Clone,
    ) {
        // First, so that nobody hears that something arrived before it was sent.
        if self.notices.is_heard() {
            let sent = events.clone().into_iter();
            for notice in sent.filter_map(|(stored, answer)| Notice::sent(stored.event, answer)) {
                self.notices.tell(|| notice);
            }
        }
        if self.observer.is_there() {
            for (stored, answer) in events.clone() {
                told::dead_at_once(&self.observer, stored.event, answer);
            }
        }
        self.tell(|scheduler, now| scheduler.stored(now, worker, events));
    }

    /// Tells the scheduler something, and does what it commands.
    pub(crate) fn tell<R>(self: &Arc<Self>, tell: impl FnOnce(&mut Scheduler, Now) -> R) -> R {
        let (answer, commands) = self.handle(tell);
        for command in commands {
            self.obey(command);
        }
        answer
    }

    /// As [`tell`](Self::tell), for the task of a request that has ended: the first request that
    /// starts is its next, since a task costs more than a request. `None`: the task is over.
    pub(crate) fn tell_end(
        self: &Arc<Self>,
        tell: impl FnOnce(&mut Scheduler, Now),
    ) -> Option<Request> {
        let ((), commands) = self.handle(tell);
        let mut next = None;
        for command in commands {
            match command {
                // A `Start` that is one of several is made here, and the others get tasks of their
                // own.
                Command::Start(request) if next.is_none() => next = Some(request),
                command => self.obey(command),
            }
        }
        next
    }

    /// Starts nothing from now on, and gives back what waits.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.tell(Scheduler::stop);
        // After the scheduler is stopping: who wakes looks at that.
        self.stopped.notify_waiters();
    }

    /// Gives up what is in flight; how many requests that were.
    pub(crate) fn cut_off(self: &Arc<Self>) -> usize {
        // First, so that no request that is aborted is missed.
        let requests = self.tell(Scheduler::cut_off);
        self.requests.abort();
        requests
    }

    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.scheduler).is_stopping()
    }

    /// Waits, but not beyond the end.
    pub(crate) async fn unless_stopped(&self, wait: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(self.stopped.notified());
        // Before the look, so that no end goes unnoticed between the two.
        stopped.as_mut().enable();
        if self.is_stopping() {
            return;
        }
        tokio::select! {
            () = wait => {}
            () = stopped => {}
        }
    }

    /// Whether a request may still start, now that its task has come to it. The time is looked at
    /// once more, since a machine may be suspended between the two.
    fn may_start(&self, request: &Request) -> bool {
        let now = moment::now();
        now < request.start_by || self.look(|scheduler, now| scheduler.holds_leases(now.moment))
    }

    /// What makes requests.
    pub(crate) const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Where notices are told.
    pub(crate) const fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Whoever observes this process.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    fn handle<R>(&self, tell: impl FnOnce(&mut Scheduler, Now) -> R) -> (R, Commands) {
        let mut scheduler = lock(&self.scheduler);
        // Under the lock, so that time never goes back from one input to the next.
        let answer = tell(&mut scheduler, self.clock.read());
        // All of them, before another thread can tell something: what follows from one input stays
        // together.
        let commands = std::iter::from_fn(|| scheduler.next()).collect();
        (answer, commands)
    }

    fn obey(self: &Arc<Self>, command: Command) {
        match command {
            Command::Start(request) => {
                let make_all = |task| make_all(self.clone(), request, task);
                self.requests.start(make_all);
            }
            Command::Tell(notice) => self.notices.tell(|| notice),
            Command::Forget(endpoint_id) => self.requests.transport.forget(&endpoint_id),
            Command::Record => self.record.notify_one(),
            Command::Claim => self.claim.notify_one(),
            Command::Watch => self.watch.notify_one(),
        }
    }
}

/// Makes a request and those that follow it in this task.
async fn make_all(driver: Arc<Driver>, first: Request, task: usize) {
    let mut next = Some(first);
    while let Some(request) = next {
        // The end of this request and the start of the next are one input: the lock is taken once.
        next = if driver.may_start(&request) {
            let result = driver.requests().make(&request).await;
            driver.tell_end(|scheduler: &mut Scheduler, now| match &result {
                Ok(result) => scheduler.ended(now, request.id, result),
                Err(_) => scheduler.ended_untried(now, request.id),
            })
        } else {
            driver.tell_end(|scheduler, now| scheduler.ended_unstarted(now, request.id))
        };
    }
    driver.requests().is_over(task);
}

//! The task of a request, handed on to the next one.

use std::cell::Cell;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::attempt::Attempting;

thread_local! {
    static IS_SPAWNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is giving a request its task. A runtime that ends drops the request at once
/// instead, while its lane is locked.
pub(crate) fn is_spawning() -> bool {
    IS_SPAWNING.get()
}

/// The task of a request that has just ended. The next one that starts takes it over, since a task
/// for each costs more than all that is around it.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    task: Option<AbortHandle>,
    next: Option<Attempting>,
}

impl Seat {
    /// The seat of a request that ended; none, if it had no task.
    pub(crate) const fn new(task: Option<AbortHandle>) -> Self {
        Self { task, next: None }
    }

    /// Starts a request, in a task of its own if the seat is taken.
    pub(crate) fn start(&mut self, attempting: Attempting, runtime: &Handle) -> AbortHandle {
        match self.task.take() {
            Some(task) => {
                self.next = Some(attempting);
                task
            }
            None => {
                IS_SPAWNING.set(true);
                let task = runtime.spawn(attempting.run());
                IS_SPAWNING.set(false);
                task.abort_handle()
            }
        }
    }

    /// What is to be made in the task.
    pub(crate) fn into_next(self) -> Option<Attempting> {
        self.next
    }
}

//! The task of a request, handed on to the next one.

use tokio::task::AbortHandle;

use crate::attempt::Attempting;

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
    pub(crate) fn start(&mut self, attempting: Attempting) -> AbortHandle {
        match self.task.take() {
            Some(task) => {
                self.next = Some(attempting);
                task
            }
            None => tokio::spawn(attempting.run()).abort_handle(),
        }
    }

    /// What is to be made in the task.
    pub(crate) fn into_next(self) -> Option<Attempting> {
        self.next
    }
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;
use webhooks_core::{Result, WebhookError};

use crate::error::{self, Failure};
use crate::state::State;

/// A call on its way through the writer. It runs inside a transaction that it shares with others, and
/// is answered once that is committed.
pub(crate) trait Job: Send {
    /// Makes the change. It may run more than once, each time on what the one before has not changed.
    fn run(&mut self, state: &mut State) -> Ran;

    /// Answers. The commit's error is that of every call in it.
    fn finish(self: Box<Self>, committed: Result<(), &WebhookError>);
}

/// What came of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It did what it was asked.
    Done,
    /// It failed, and what it has changed is to be rolled back.
    Failed {
        /// A new connection may help those behind it.
        reopen: bool,
    },
}

/// A call as a closure.
pub(crate) struct Call<F, T> {
    what: &'static str,
    work: F,
    answer: Option<error::Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Call<F, T>
where
    F: FnMut(&mut State) -> error::Result<T> + Send,
    T: Send,
{
    pub(crate) const fn new(
        what: &'static str,
        work: F,
        reply: oneshot::Sender<Result<T>>,
    ) -> Self {
        Self {
            what,
            work,
            answer: None,
            reply,
        }
    }
}

impl<F, T> Job for Call<F, T>
where
    F: FnMut(&mut State) -> error::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, state: &mut State) -> Ran {
        // A panic would be a bug here. It fails this call alone, and its change is rolled back.
        let caught = catch_unwind(AssertUnwindSafe(|| (self.work)(state)));
        let answer = caught.unwrap_or_else(|_| Err(error::unknown("a row that a call met")));
        let ran = match &answer {
            Ok(_) => Ran::Done,
            Err(failure) => Ran::Failed {
                reopen: failure.wants_new_connection(),
            },
        };
        self.answer = Some(answer);
        ran
    }

    fn finish(self: Box<Self>, committed: Result<(), &WebhookError>) {
        let what = self.what;
        let answer = match (self.answer, committed) {
            // Its own failure goes first: nothing of it was in the commit.
            (Some(Err(failure)), _) => Err(Failure::into_error(failure, what)),
            (_, Err(error)) => Err(error.clone()),
            (Some(Ok(answer)), Ok(())) => Ok(answer),
            (None, Ok(())) => Err(WebhookError::StorageError(
                "sqlite: a call did not run".into(),
            )),
        };
        // Nobody may wait any more, which changes nothing of what is stored.
        drop(self.reply.send(answer));
    }
}

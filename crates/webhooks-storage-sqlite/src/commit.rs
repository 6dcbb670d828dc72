//! One transaction for all calls that wait.
//!
//! First all of them run one after another with nothing between them, since none of them fails as a
//! rule. If one does, everything is rolled back and they run again, each in a savepoint, so that the
//! others are stored all the same.

use webhooks_core::{Result, WebhookError};

use crate::error::{self, is_full, storage_error, wants_new_connection};
use crate::job::{Job, Ran};
use crate::state::State;
use crate::surroundings::{Surroundings, reopen, version, wake};

type Jobs = Vec<Box<dyn Job>>;

/// Runs calls in one transaction and answers them.
pub(crate) fn commit(
    state: &mut State,
    around: &Surroundings,
    seen: &mut Option<i64>,
    mut jobs: Jobs,
) {
    let committed = {
        let turn = around.turn.take().map_err(|error| {
            WebhookError::transient_storage("sqlite: cannot lock the file of turns", error)
                .without_effect()
        });
        turn.and_then(|_turn| commit_in_turn(state, around, seen, &mut jobs))
    };
    if std::mem::take(&mut state.wake) && committed.is_ok() {
        wake(&around.work);
    }
    for job in jobs {
        job.finish(committed.as_ref().copied());
    }
}

fn commit_in_turn(
    state: &mut State,
    around: &Surroundings,
    seen: &mut Option<i64>,
    jobs: &mut Jobs,
) -> Result<()> {
    begin(state, around, seen)?;
    if !jobs.iter_mut().all(|job| job.run(state) == Ran::Done) || write_rest(state).is_err() {
        roll_back(state);
        begin(state, around, seen)?;
        if run_apart(state, jobs) {
            roll_back(state);
            reopen(state, &around.path);
            *seen = version(state);
            let text = "sqlite: input or output failed for a call of the same transaction";
            return Err(WebhookError::transient_storage(text, "rolled back").without_effect());
        }
    }
    let done = write_rest(state).and_then(|()| Ok(state.db.execute_batch("COMMIT")?));
    done.map_err(|failure| {
        let committing = matches!(&failure, error::Failure::Sql(_));
        let error = commit_error(failure);
        roll_back(state);
        if committing {
            // What the connection has in its memory may be other than what is on the disk.
            reopen(state, &around.path);
            *seen = version(state);
        }
        error
    })
}

/// Begins a transaction that writes, and forgets what others have changed.
fn begin(state: &mut State, around: &Surroundings, seen: &mut Option<i64>) -> Result<()> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    let begun = match state.db.execute_batch(BEGIN) {
        Err(error) if wants_new_connection(&error) || !state.db.is_autocommit() => {
            roll_back(state);
            reopen(state, &around.path);
            state.db.execute_batch(BEGIN)
        }
        begun => begun,
    };
    begun.map_err(|error| storage_error("begin a transaction", &error).without_effect())?;
    let now = version(state);
    if now != *seen {
        state.forget();
        // What others have stored may be claimable.
        state.wake = true;
        *seen = now;
    }
    Ok(())
}

/// What calls have left to be written once for all of them.
fn write_rest(state: &mut State) -> error::Result<()> {
    state.write_counts()?;
    state.write_numbers()
}

/// Runs each call in a savepoint. Whether the transaction itself is lost.
fn run_apart(state: &mut State, jobs: &mut Jobs) -> bool {
    for job in jobs {
        if state.db.execute_batch("SAVEPOINT call").is_err() {
            return true;
        }
        let ran = match job.run(state) {
            Ran::Done if write_rest(state).is_err() => Ran::Failed { reopen: true },
            ran => ran,
        };
        let end = match ran {
            Ran::Done => "RELEASE call",
            Ran::Failed { .. } => {
                state.forget();
                "ROLLBACK TO call; RELEASE call"
            }
        };
        // Some errors roll all of it back: nothing of what ran before is there any more.
        if state.db.is_autocommit() || state.db.execute_batch(end).is_err() {
            return true;
        }
        if ran == (Ran::Failed { reopen: true }) {
            return true;
        }
    }
    false
}

fn roll_back(state: &mut State) {
    if !state.db.is_autocommit() {
        let rolled_back = state.db.execute_batch("ROLLBACK");
        if let Err(error) = rolled_back {
            let error = storage_error("roll back", &error);
            tracing::warn!(%error, "the transaction ends with its connection");
        }
    }
    state.forget();
    state.wake = false;
}

/// After a commit that failed nobody knows whether it was one, but for a full disk, for which SQLite
/// rolls back before it says so.
fn commit_error(failure: error::Failure) -> WebhookError {
    match failure {
        error::Failure::Sql(error) if is_full(&error) => {
            storage_error("commit", &error).without_effect()
        }
        error::Failure::Sql(error) => storage_error("commit", &error).perhaps_done(),
        error::Failure::Said(error) => error.without_effect(),
    }
}

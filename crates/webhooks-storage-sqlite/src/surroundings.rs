//! What the writer's thread works with besides its state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::state::State;
use crate::turn::Turn;

/// What the thread needs besides the state.
pub(crate) struct Surroundings {
    pub(crate) path: PathBuf,
    pub(crate) turn: Turn,
    pub(crate) work: Arc<Notify>,
}

/// A number that changes when another connection has written.
pub(crate) fn version(state: &State) -> Option<i64> {
    state.value("PRAGMA data_version", []).ok()
}

/// Wakes all who wait now, as one alone may have no room for what came; and whoever comes next, so
/// that no change falls between a look and the waiting.
pub(crate) fn wake(work: &Notify) {
    work.notify_waiters();
    work.notify_one();
}

/// For the writer's thread alone.
pub(crate) fn reopen(state: &mut State, path: &Path) {
    match crate::connection::open(path) {
        Ok(db) => {
            state.db = db;
            state.forget();
        }
        Err(error) => tracing::error!(%error, "cannot open the file anew"),
    }
}

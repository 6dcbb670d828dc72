//! What an engine does when its process is short of descriptors, ports or memory, or lacks its proxy.
//!
//! Shortages are mostly over as soon as other requests end. So an attempt waits a moment, up to a
//! second in all, before its delivery is given back, which would cost the storage two calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::http::idle_pool::IdlePool;
use crate::http::network::Untried;

/// The waits between the tries of one attempt.
const WAITS: [Duration; 7] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];
/// Idle connections that are closed before each of them.
/// With the waits up to 56 connections of one attempt: others are short at the same time and close
/// theirs.
const CLOSED: usize = 8;
/// How often it is said.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Makes room for one attempt, and says so now and then.
#[derive(Debug, Default)]
pub(crate) struct Scarcity {
    said: Mutex<Option<Instant>>,
}

impl Scarcity {
    /// The waits of one attempt.
    pub(crate) fn waits() -> impl Iterator<Item = Duration> {
        WAITS.into_iter()
    }

    /// Closes connections that nobody uses, and waits until that has come about.
    pub(crate) async fn make_room(&self, idle: &IdlePool, wait: Duration) {
        idle.close_oldest(CLOSED);
        sleep(wait).await;
    }

    /// Tells the operator, not for each request.
    pub(crate) fn say(&self, untried: Untried) {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| now - at >= SAID_EVERY) {
            *said = Some(now);
            tracing::warn!("requests wait, since {untried}");
        }
    }
}

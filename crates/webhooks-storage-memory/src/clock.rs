//! The storage's clock, where callers give no time.

use std::time::{Instant, SystemTime};

use webhooks_core::{Clock, Timestamp};

/// The wall clock, moved along with Tokio's clock.
///
/// The time is the wall clock plus what Tokio's clock has gained on the machine's since this clock
/// was made. In production the two run as one, the gain is zero, and a correction of the wall
/// clock is followed. In a test that pauses or advances Tokio's time the gain is exactly what the
/// test moved, so that timers and stored times agree without a clock of the test's own.
#[derive(Debug)]
pub(crate) struct WallClock {
    tokio_start: tokio::time::Instant,
    machine_start: Instant,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            tokio_start: tokio::time::Instant::now(),
            machine_start: machine_now(),
        }
    }
}

impl Clock for WallClock {
    // Differences of the two monotonic clocks, so that a step of the wall clock is never mistaken
    // for time that a test has moved.
    fn now(&self) -> Timestamp {
        let machine = machine_now().saturating_duration_since(self.machine_start);
        let tokio = tokio::time::Instant::now().saturating_duration_since(self.tokio_start);
        let wall = wall_now();
        let moved = wall.checked_add(tokio.saturating_sub(machine));
        // This term is for a paused clock of Tokio, which falls behind the machine's.
        let moved = moved.and_then(|at| at.checked_sub(machine.saturating_sub(tokio)));
        // Out of range, the wall clock alone is the better answer.
        moved.unwrap_or(wall).into()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn machine_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall_now() -> SystemTime {
    SystemTime::now()
}

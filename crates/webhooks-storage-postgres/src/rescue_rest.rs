use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::known_queues::{CHEAP, MOST_REST, REST};

/// Until when a process does not look again for what those hold who were given up before, and who
/// stay known for a day. While somebody's transaction stays open, such a look walks over every
/// lease that went since it began; so one that found nothing and was not cheap is followed by a
/// rest, as those of claims are.
#[derive(Debug)]
pub(crate) struct RescueRest(Mutex<Instant>);

impl RescueRest {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= *self.until()
    }

    /// A look took so long, and found so many deliveries.
    pub(crate) fn looked(&self, took: Duration, found: usize) {
        if found == 0 && took > CHEAP {
            *self.until() = Instant::now() + (took * REST).min(MOST_REST);
        }
    }

    fn until(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_slow_look_that_found_nothing_is_followed_by_a_rest() {
        let rest = RescueRest::new();
        assert!(rest.is_over());
        rest.looked(CHEAP, 0);
        rest.looked(10 * CHEAP, 1);
        assert!(rest.is_over());
        rest.looked(2 * CHEAP, 0);
        assert!(!rest.is_over());
        tokio::time::advance(2 * CHEAP * REST).await;
        assert!(rest.is_over());
        rest.looked(Duration::from_secs(60), 0);
        tokio::time::advance(MOST_REST).await;
        assert!(rest.is_over());
    }
}

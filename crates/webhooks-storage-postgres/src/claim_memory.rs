//! What a process remembers from one claim to the next. All of it may be lost.
//!
//! While somebody's transaction stays open, PostgreSQL keeps every row and index entry that went
//! since it began, and a claim that looked at an index from its start would walk through all of
//! them. So claims remember below which bound nothing is left, and look at everything only now and
//! then: always as long as that is cheap, and otherwise so seldom that it takes a small part of the
//! time. What others put below a bound, or have for an endpoint that is not remembered, is found by
//! the next full look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use webhooks_core::{Timestamp, WebhookError, WorkerId};

use crate::known_queues::{KnownQueues, Look};

/// How far below the last look for what is due the next one begins: for clocks that differ and for
/// transactions that took long to commit.
const DUE_MARGIN: Duration = Duration::from_secs(10);
/// How often a look for what is due begins at the very start.
const FULL_DUE_LOOK_EVERY: Duration = Duration::from_secs(10);
/// See the module.
#[derive(Debug)]
pub(crate) struct ClaimMemory {
    /// Below this time, in milliseconds, nothing scheduled is left.
    due_floor: AtomicI64,
    /// When, in milliseconds, the first is due that the last claim saw.
    due: AtomicI64,
    /// When the last look for what is due was that began at the very start, and the last of all.
    due_look: Mutex<(Instant, Timestamp)>,
    queues: Mutex<KnownQueues>,
    /// Why a claim of a worker came back with only a part, until its next claim tells.
    failures: Mutex<HashMap<WorkerId, WebhookError>>,
}

impl ClaimMemory {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            due_floor: AtomicI64::new(0),
            due: AtomicI64::new(i64::MAX),
            due_look: Mutex::new((now, Timestamp::EPOCH)),
            queues: Mutex::new(KnownQueues::new(now)),
            failures: Mutex::default(),
        }
    }

    /// A claim of this worker has failed after it had brought something. Perhaps only the answer
    /// was lost; who claims next is told, and can look for what he holds and does not know of.
    pub(crate) fn keep_failure(&self, worker: &WorkerId, error: WebhookError) {
        self.failures().insert(worker.clone(), error);
    }

    /// The failure that a claim of this worker was not told of.
    pub(crate) fn take_failure(&self, worker: &WorkerId) -> Option<WebhookError> {
        self.failures().remove(worker)
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<WorkerId, WebhookError>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was scheduled for this time.
    pub(crate) fn scheduled(&self, at: Timestamp) {
        self.due_floor.fetch_min(at.as_millis(), Ordering::AcqRel);
    }

    /// From which due time on a claim at `now` looks for what is due.
    pub(crate) fn due_floor(&self, now: Timestamp) -> Timestamp {
        let mut last = self.due_look.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() >= FULL_DUE_LOOK_EVERY || now < last.1 {
            *last = (Instant::now(), now);
            self.due_floor.store(0, Ordering::Release);
        }
        last.1 = now;
        Timestamp::from_millis(self.due_floor.load(Ordering::Acquire))
    }

    /// Whether the last claim saw something that is due at `now`. What else is, a claim finds.
    pub(crate) fn may_be_due(&self, now: Timestamp) -> bool {
        self.due.load(Ordering::Acquire) <= now.as_millis()
    }

    /// A claim at `now` has looked from `began` on for what is due next.
    pub(crate) fn looked_for_due(&self, began: Timestamp, now: Timestamp, next: Option<Timestamp>) {
        let next = next.map_or(i64::MAX, Timestamp::as_millis);
        self.due.store(next, Ordering::Release);
        if next <= now.as_millis() {
            return;
        }
        // Everything up to `now` was made ready.
        let floor = now.before(DUE_MARGIN).as_millis().max(began.as_millis());
        // Unless something was scheduled below it meanwhile.
        let began = began.as_millis();
        let _changed =
            self.due_floor
                .compare_exchange(began, floor, Ordering::AcqRel, Ordering::Acquire);
    }

    /// This process has made something ready that has this sort key; it is committed.
    pub(crate) fn arrived(&self, endpoint_id: &Arc<str>, sort_key: i64) {
        self.queues().arrived(endpoint_id, sort_key);
    }

    /// Something is ready that the claim which follows sees.
    pub(crate) fn ready(&self, endpoint_id: &Arc<str>, sort_key: i64) {
        self.queues().lower(endpoint_id, sort_key);
    }

    /// Something may be ready anywhere.
    pub(crate) fn look_everywhere(&self) {
        self.queues().look_everywhere();
    }

    /// Whether claims look only at what is known.
    pub(crate) fn rests(&self) -> bool {
        self.queues().rests()
    }

    /// Where a claim looks that begins now.
    pub(crate) fn look(&self, rests: bool) -> Look {
        self.queues().look(rests)
    }

    /// A look at this time has ended: with the endpoint that was looked at last, if it did not get
    /// to all, the sort keys that it took of endpoints, and those that may have more, also if they
    /// gave nothing for want of room.
    pub(crate) fn looked<'a>(
        &self,
        look: &Look,
        at: Timestamp,
        last: Option<String>,
        taken: impl Iterator<Item = (&'a Arc<str>, i64)>,
        may_have_more: impl Iterator<Item = &'a str>,
    ) {
        self.queues().looked(look, at, last, taken, may_have_more);
    }

    fn queues(&self) -> MutexGuard<'_, KnownQueues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_queues::{CHEAP, KEY_MARGIN, MOST_REST, REST};

    /// A claim that took so long, and these sort keys of the endpoint.
    async fn claim(memory: &ClaimMemory, id: &Arc<str>, took: Duration, keys: &[i64]) {
        let look = memory.look(memory.rests());
        tokio::time::advance(took).await;
        let taken = keys.iter().map(|key| (id, *key));
        memory.looked(&look, Timestamp::EPOCH, None, taken, std::iter::empty());
    }

    fn floor(memory: &ClaimMemory) -> i64 {
        assert!(memory.rests());
        let known = memory.look(true).known.unwrap();
        assert_eq!(known.ids, ["a"]);
        known.floors[0]
    }

    #[tokio::test(start_paused = true)]
    async fn claims_look_at_everything_while_that_is_cheap() {
        let (memory, a) = (ClaimMemory::new(), Arc::from("a"));
        claim(&memory, &a, CHEAP, &[5_000]).await;
        assert!(!memory.rests());
        assert!(memory.look(memory.rests()).known.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_look_at_everything_is_followed_by_a_rest() {
        let (memory, a) = (ClaimMemory::new(), Arc::from("a"));
        claim(&memory, &a, 2 * CHEAP, &[5_000, 9_000, 7_000]).await;
        assert_eq!(floor(&memory), 9_000 - KEY_MARGIN);
        tokio::time::advance(2 * CHEAP * REST).await;
        assert!(!memory.rests());
        claim(&memory, &a, Duration::from_secs(60), &[]).await;
        tokio::time::advance(MOST_REST).await;
        assert!(!memory.rests());
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_below_the_floor_is_looked_at() {
        let (memory, a) = (ClaimMemory::new(), Arc::from("a"));
        claim(&memory, &a, 2 * CHEAP, &[9_000]).await;
        memory.arrived(&a, 3_000);
        assert_eq!(floor(&memory), 3_000);
        // Claims that began before it arrived may not have seen it.
        for key in 0..7 {
            claim(&memory, &a, Duration::ZERO, &[10_000 + key]).await;
            assert_eq!(floor(&memory), 3_000);
        }
        claim(&memory, &a, Duration::ZERO, &[11_000]).await;
        claim(&memory, &a, Duration::ZERO, &[12_000]).await;
        assert_eq!(floor(&memory), 12_000 - KEY_MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_did_not_get_to_all_is_followed_by_another() {
        let memory = ClaimMemory::new();
        let look = memory.look(memory.rests());
        tokio::time::advance(2 * CHEAP).await;
        let nothing = std::iter::empty();
        let last = Some("a".into());
        memory.looked(&look, Timestamp::EPOCH, last, nothing, std::iter::empty());
        assert!(!memory.rests());
        assert_eq!(memory.look(false).after, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_sends_remembers_nothing() {
        let (memory, a) = (ClaimMemory::new(), Arc::from("a"));
        memory.arrived(&a, 3_000);
        assert!(memory.queues().known.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_opens_is_looked_at_at_once() {
        let (memory, a) = (ClaimMemory::new(), Arc::from("a"));
        claim(&memory, &a, 2 * CHEAP, &[9_000]).await;
        assert!(memory.rests());
        memory.look_everywhere();
        assert!(!memory.rests());
    }
}

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

/// How far below the last look for what is due the next one begins: for clocks that differ and for
/// transactions that took long to commit.
const DUE_MARGIN: Duration = Duration::from_secs(10);
/// How often a look for what is due begins at the very start.
const FULL_DUE_LOOK_EVERY: Duration = Duration::from_secs(10);
/// How far below the last claimed sort key the next claim begins, in milliseconds.
const KEY_MARGIN: i64 = 1_000;
/// A full look that takes no longer is cheap.
pub(crate) const CHEAP: Duration = Duration::from_millis(10);
/// A full look that is not is followed by so many times as long without one, up to a limit.
pub(crate) const REST: u32 = 20;
pub(crate) const MOST_REST: Duration = Duration::from_secs(10);
/// For how many claims of an endpoint an arrival may be too young to be seen: they overlap.
const OVERLAPPING: usize = 8;
/// How long an endpoint is remembered that gives nothing.
const REMEMBERED: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct ClaimMemory {
    /// Below this time, in milliseconds, nothing scheduled is left.
    due_floor: AtomicI64,
    /// When, in milliseconds, the first is due that the last claim saw.
    due: AtomicI64,
    /// When the last look for what is due was that began at the very start, and the last of all.
    due_look: Mutex<(Instant, Timestamp)>,
    queues: Mutex<Queues>,
    /// Why a claim of a worker came back with only a part, until its next claim tells.
    failures: Mutex<HashMap<WorkerId, WebhookError>>,
}

#[derive(Debug)]
struct Queues {
    /// The endpoint that was looked at last, after which the next turn begins.
    turn: String,
    /// Until then claims look only at what is known.
    rest_until: Instant,
    /// When the look that the rest follows began, in the storage's time.
    all_looked: Timestamp,
    known: HashMap<Arc<str>, Known>,
    /// This process claims: one that only sends would remember endpoints for nobody, for ever.
    claims: bool,
}

/// What is known of the ready deliveries of one endpoint.
#[derive(Debug)]
struct Known {
    /// Below this sort key nothing is left.
    floor: i64,
    /// The lowest sort keys that arrived between the last claims.
    recent: [i64; OVERLAPPING],
    used_at: Instant,
}

/// Where a claim looks.
#[derive(Debug)]
pub(crate) struct Look {
    /// The endpoint after which the turn begins.
    pub(crate) after: String,
    /// What to look at; `None` for all endpoints from the start.
    pub(crate) known: Option<LookAt>,
    began_at: Instant,
}

#[derive(Debug)]
pub(crate) struct LookAt {
    pub(crate) ids: Vec<String>,
    /// The sort key to begin at, for each.
    pub(crate) floors: Vec<i64>,
    /// And whoever has come to the end of a hold since this time.
    pub(crate) opened_since: Timestamp,
}

impl ClaimMemory {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            due_floor: AtomicI64::new(0),
            due: AtomicI64::new(i64::MAX),
            due_look: Mutex::new((now, Timestamp::EPOCH)),
            queues: Mutex::new(Queues {
                turn: String::new(),
                rest_until: now,
                all_looked: Timestamp::EPOCH,
                known: HashMap::new(),
                claims: false,
            }),
            failures: Mutex::default(),
        }
    }

    /// A claim of this worker has failed after it had brought something. Perhaps only the answer was
    /// lost; who claims next is told, and can look for what he holds and does not know of.
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
        let mut queues = self.queues();
        if !queues.claims {
            return;
        }
        let known = queues.lower(endpoint_id, sort_key);
        known.recent[0] = known.recent[0].min(sort_key);
    }

    /// Something is ready that the claim which follows sees.
    pub(crate) fn ready(&self, endpoint_id: &Arc<str>, sort_key: i64) {
        self.queues().lower(endpoint_id, sort_key);
    }

    /// Something may be ready anywhere.
    pub(crate) fn look_everywhere(&self) {
        self.queues().rest_until = Instant::now();
    }

    /// Whether claims look only at what is known.
    pub(crate) fn rests(&self) -> bool {
        Instant::now() < self.queues().rest_until
    }

    /// Where a claim looks that begins now.
    pub(crate) fn look(&self, rests: bool) -> Look {
        let began_at = Instant::now();
        let mut queues = self.queues();
        queues.claims = true;
        let known = if rests {
            let known = queues.known.iter();
            let (ids, floors) = known
                .map(|(id, known)| (id.to_string(), known.floor))
                .unzip();
            Some(LookAt {
                ids,
                floors,
                opened_since: queues.all_looked,
            })
        } else {
            let known = &mut queues.known;
            known.retain(|_, known| began_at.duration_since(known.used_at) < REMEMBERED);
            None
        };
        Look {
            after: queues.turn.clone(),
            known,
            began_at,
        }
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
        let now = Instant::now();
        let mut queues = self.queues();
        let got_to_all = last.is_none();
        queues.turn = last.unwrap_or(std::mem::take(&mut queues.turn));
        let mut highest = HashMap::new();
        for (endpoint_id, sort_key) in taken {
            let highest = highest.entry(endpoint_id).or_insert(sort_key);
            *highest = sort_key.max(*highest);
        }
        for (endpoint_id, sort_key) in highest {
            queues.entry(endpoint_id).taken(sort_key, now);
        }
        let took = now.duration_since(look.began_at);
        // Those that a look did not get to are not known.
        if look.known.is_none() && got_to_all && took > CHEAP {
            queues.rest_until = now + (took * REST).min(MOST_REST);
            queues.all_looked = at;
            may_have_more.for_each(|id| queues.remember(id, now));
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// A claim took what is ready up to this sort key.
    fn taken(&mut self, sort_key: i64, now: Instant) {
        let recent = self.recent.into_iter().min().unwrap_or(i64::MAX);
        let floor = sort_key.saturating_sub(KEY_MARGIN).min(recent);
        self.floor = self.floor.max(floor);
        self.recent.rotate_right(1);
        self.recent[0] = i64::MAX;
        self.used_at = now;
    }
}

impl Queues {
    fn entry(&mut self, endpoint_id: &Arc<str>) -> &mut Known {
        let unknown = || Known {
            floor: i64::MIN,
            recent: [i64::MAX; OVERLAPPING],
            used_at: Instant::now(),
        };
        self.known
            .entry(endpoint_id.clone())
            .or_insert_with(unknown)
    }

    fn remember(&mut self, endpoint_id: &str, now: Instant) {
        match self.known.get_mut(endpoint_id) {
            Some(known) => known.used_at = now,
            None => _ = self.entry(&endpoint_id.into()),
        }
    }

    fn lower(&mut self, endpoint_id: &Arc<str>, sort_key: i64) -> &mut Known {
        let known = self.entry(endpoint_id);
        known.floor = known.floor.min(sort_key);
        known.used_at = Instant::now();
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

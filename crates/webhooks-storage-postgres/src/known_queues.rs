//! Which endpoints have something ready, as far as this process knows, and from which place on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use webhooks_core::Timestamp;

/// How far below the last claimed sort key the next claim begins, in milliseconds.
pub(crate) const KEY_MARGIN: i64 = 1_000;
/// A full look that takes no longer is cheap.
pub(crate) const CHEAP: Duration = Duration::from_millis(10);
/// A full look that is not is followed by so many times as long without one, up to a limit.
pub(crate) const REST: u32 = 20;
pub(crate) const MOST_REST: Duration = Duration::from_secs(10);
/// For how many claims of an endpoint an arrival may be too young to be seen: they overlap.
const OVERLAPPING: usize = 8;
/// How long an endpoint is remembered that gives nothing.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is known of endpoints with something ready.
#[derive(Debug)]
pub(crate) struct KnownQueues {
    /// The endpoint that was looked at last, after which the next turn begins.
    turn: String,
    /// Until then claims look only at what is known.
    rest_until: Instant,
    /// When the look that the rest follows began, in the storage's time.
    all_looked: Timestamp,
    pub(crate) known: HashMap<Arc<str>, Known>,
    /// This process claims: one that only sends would remember endpoints for nobody, for ever.
    claims: bool,
}

/// What is known of the ready deliveries of one endpoint.
#[derive(Debug)]
pub(crate) struct Known {
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

impl KnownQueues {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            turn: String::new(),
            rest_until: now,
            all_looked: Timestamp::EPOCH,
            known: HashMap::new(),
            claims: false,
        }
    }

    /// Something is ready that was committed just now: claims that began before do not see it.
    pub(crate) fn arrived(&mut self, endpoint_id: &Arc<str>, sort_key: i64) {
        if self.claims {
            let known = self.lower(endpoint_id, sort_key);
            known.recent[0] = known.recent[0].min(sort_key);
        }
    }

    pub(crate) fn look_everywhere(&mut self) {
        self.rest_until = Instant::now();
    }

    pub(crate) fn rests(&self) -> bool {
        Instant::now() < self.rest_until
    }

    pub(crate) fn look(&mut self, rests: bool) -> Look {
        let began_at = Instant::now();
        self.claims = true;
        let known = if rests {
            let known = self.known.iter();
            let (ids, floors) = known
                .map(|(id, known)| (id.to_string(), known.floor))
                .unzip();
            Some(LookAt {
                ids,
                floors,
                opened_since: self.all_looked,
            })
        } else {
            let known = &mut self.known;
            known.retain(|_, known| began_at.duration_since(known.used_at) < REMEMBERED);
            None
        };
        Look {
            after: self.turn.clone(),
            known,
            began_at,
        }
    }

    pub(crate) fn looked<'a>(
        &mut self,
        look: &Look,
        at: Timestamp,
        last: Option<String>,
        taken: impl Iterator<Item = (&'a Arc<str>, i64)>,
        may_have_more: impl Iterator<Item = &'a str>,
    ) {
        let now = Instant::now();
        let got_to_all = last.is_none();
        self.turn = last.unwrap_or(std::mem::take(&mut self.turn));
        let mut highest = HashMap::new();
        for (endpoint_id, sort_key) in taken {
            let highest = highest.entry(endpoint_id).or_insert(sort_key);
            *highest = sort_key.max(*highest);
        }
        for (endpoint_id, sort_key) in highest {
            self.entry(endpoint_id).taken(sort_key, now);
        }
        let took = now.duration_since(look.began_at);
        // Those that a look did not get to are not known: after such a one nobody may rest.
        if look.known.is_none() && got_to_all && took > CHEAP {
            self.rest_until = now + (took * REST).min(MOST_REST);
            self.all_looked = at;
            may_have_more.for_each(|id| self.remember(id, now));
        }
    }

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

    /// Something is ready that a claim which begins now sees.
    pub(crate) fn lower(&mut self, endpoint_id: &Arc<str>, sort_key: i64) -> &mut Known {
        let known = self.entry(endpoint_id);
        known.floor = known.floor.min(sort_key);
        known.used_at = Instant::now();
        known
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

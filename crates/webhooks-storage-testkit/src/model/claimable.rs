use std::collections::BTreeMap;
use std::time::Duration;

use webhooks_core::storage::spi::POISON_SUSPECT_CRASHES;
use webhooks_core::{DeliveryState, Timestamp};

use super::{Model, ModelRow};

/// What a claim may return of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Claimable {
    room: usize,
    /// Deliveries of one request at most.
    pub(crate) batch: usize,
    /// The oldest has waited long enough.
    is_over: bool,
    /// The keys of what is ready, in order.
    sound: Vec<i64>,
    suspects: Vec<i64>,
    /// How many come, if the claim's limit lets them all.
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl Claimable {
    /// What is not a whole batch comes with others only if the oldest has waited long enough, and
    /// perhaps not even then: it may not be the oldest any more.
    fn bounded(mut self) -> Self {
        let fits = self.sound.len().min(self.room);
        let whole = fits - fits % self.batch;
        let (least, most) = match self.sound.len() >= self.batch {
            false if self.is_over => (fits, fits),
            false => (0, 0),
            true if whole == 0 => (fits, fits),
            true if self.is_over => (whole, fits),
            true => (whole, whole),
        };
        let with_suspects = |sound: usize| self.room.min(sound + self.suspects.len());
        (self.least, self.most) = (with_suspects(least), with_suspects(most));
        self
    }

    /// Whether these keys, those of poison suspects apart, are the first ones in order.
    pub(crate) fn is_first(&self, keys: &[Vec<i64>; 2]) -> bool {
        self.sound.starts_with(&keys[0]) && self.suspects.starts_with(&keys[1])
    }
}

impl Model {
    /// What a claim has to return of each endpoint that has something.
    pub(crate) fn claimable(
        &self,
        per_endpoint: usize,
        suspects: bool,
        now: Timestamp,
    ) -> BTreeMap<String, Claimable> {
        let mut found = BTreeMap::new();
        for (id, endpoint) in &self.endpoints {
            if !endpoint.is_open() || endpoint.gate.held_until.is_some_and(|until| until > now) {
                continue;
            }
            let of_endpoint = || self.rows.iter().filter(|row| row.endpoint == *id);
            let leased = of_endpoint().filter(|r| r.state == DeliveryState::Leased);
            let most = endpoint.gate.max_leased.map_or(usize::MAX, |n| n as usize);
            let leases = most.saturating_sub(leased.count());
            let batch = endpoint.batch.map_or(1, |batch| batch.max_events as usize);
            let is_ready = |row: &&ModelRow| {
                row.state == DeliveryState::Ready && row.due_at <= now && !self.is_blocked(row)
            };
            let mut ready: Vec<_> = of_endpoint().filter(is_ready).collect();
            ready.sort_by_key(|row| row.sort_key);
            let (suspect, sound): (Vec<_>, Vec<_>) = ready
                .into_iter()
                .partition(|row| row.crashes >= POISON_SUSPECT_CRASHES);
            let since = sound.iter().map(|row| row.due_at).min();
            let wait = endpoint.batch.map_or(0, |batch| batch.max_wait_ms);
            let is_over = since.is_some_and(|at| now.since(at) >= Duration::from_millis(wait));
            let keys = |rows: Vec<&ModelRow>| rows.iter().map(|row| row.sort_key).collect();
            let claimable = Claimable {
                room: leases.min(per_endpoint.saturating_mul(batch)),
                batch,
                is_over,
                sound: keys(sound),
                suspects: keys(if suspects { suspect } else { Vec::new() }),
                ..Claimable::default()
            };
            found.insert(id.clone(), claimable.bounded());
        }
        found.retain(|_, of| of.most > 0);
        found
    }
}

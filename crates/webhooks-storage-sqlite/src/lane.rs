use std::time::Duration;

use rusqlite::OptionalExtension;
use webhooks_core::{RateLimitConfig, Timestamp};

use crate::columns::{long, number_at, some_time_at};
use crate::error::Result;
use crate::pace::Pace;
use crate::state::State;

/// What a claim knows of an endpoint of which something is ready: a row of `webhook_lanes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) endpoint: i64,
    pub(crate) incarnation: i64,
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) max_leased: Option<usize>,
    /// Deliveries of a full batch, and how long one fills at most.
    pub(crate) batch: Option<(usize, Duration)>,
    /// The endpoint's own rate limit, and since when its bucket counts: see [`Pace`].
    pub(crate) rate: Option<RateLimitConfig>,
    pub(crate) full_at: i64,
    pub(crate) ready: usize,
    pub(crate) leased: usize,
}

/// What one claim may still take of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) all: usize,
    /// Those of them that are not poison suspects.
    pub(crate) sound: usize,
    /// When the batch is due that fills, if it is not due.
    pub(crate) filling_until: Option<Timestamp>,
}

/// Lanes that are read at a time.
pub(crate) const PAGE: usize = 256;
/// Rows that are looked at for the one that is due longest: with more than that ready, whole batches
/// go, and the rest can wait until there is less.
const MOST_FILLING: i64 = 10_000;

macro_rules! select_lanes {
    ($rest:expr) => {
        concat!(
            "SELECT endpoint, incarnation, held_until, max_leased, batch_events, batch_wait, rate, \
             burst, full_at, ready, leased FROM webhook_lanes ",
            $rest
        )
    };
}
const CLAIMABLE: &str = select_lanes!(
    "INDEXED BY idx_webhook_lanes_claimable WHERE open = 1 AND ready > 0 \
     AND endpoint > ?1 AND endpoint <= ?2 ORDER BY endpoint LIMIT ?3"
);
const LANE: &str = select_lanes!("WHERE endpoint = ?1");
const SUSPECTS: &str = "SELECT count(*) FROM webhook_queue \
    INDEXED BY idx_webhook_queue_suspect WHERE endpoint = ?1 AND state = 1 AND crashes >= 2";
const SINCE: &str = "SELECT min(due_at) FROM (SELECT due_at FROM webhook_queue \
    INDEXED BY idx_webhook_queue_ready WHERE endpoint = ?1 AND state = 1 AND crashes < 2 LIMIT ?2)";

impl Lane {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let max_leased: Option<i64> = row.get(3)?;
        let events: Option<i64> = row.get(4)?;
        let wait: Option<i64> = row.get(5)?;
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        let batch = events.zip(wait).map(|(events, wait)| {
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
            (count(events).max(1), wait)
        });
        let rate: Option<u32> = row.get(6)?;
        let burst: Option<u32> = row.get(7)?;
        let rate = rate.zip(burst).map(|(rate, burst)| RateLimitConfig {
            requests_per_second: rate,
            burst_size: burst,
        });
        Ok(Self {
            endpoint: row.get(0)?,
            incarnation: row.get(1)?,
            held_until: some_time_at(row, 2)?,
            max_leased: max_leased.map(count),
            batch,
            rate,
            full_at: row.get(8)?,
            ready: number_at(row, 9)?,
            leased: number_at(row, 10)?,
        })
    }

    /// How many deliveries one turn gives: those of one request.
    pub(crate) fn per_turn(&self) -> usize {
        self.batch.map_or(1, |(events, _)| events)
    }

    /// How fast it may still be sent to, if its own limit or that of all bounds it.
    pub(crate) fn pace(&self, of_all: Option<RateLimitConfig>, now: Timestamp) -> Option<Pace> {
        let limit = self.rate.or(of_all)?;
        Some(Pace::new(limit, self.full_at, now))
    }
}

impl State {
    /// Some of the lanes that a claim may take from, behind this endpoint and up to that one.
    pub(crate) fn claimable(&self, after: i64, up_to: i64) -> Result<Vec<Lane>> {
        self.all(CLAIMABLE, (after, up_to, long(PAGE)), Lane::of)
    }

    /// What a claim at `now` may take of a lane that has so much room.
    pub(crate) fn allowance(&self, lane: &Lane, room: usize, now: Timestamp) -> Result<Allowance> {
        let leases = lane
            .max_leased
            .map_or(usize::MAX, |most| most.saturating_sub(lane.leased));
        let all = room.min(leases);
        let Some((events, wait)) = lane.batch else {
            return Ok(Allowance {
                all,
                sound: all,
                filling_until: None,
            });
        };
        let suspects: i64 = self.value(SUSPECTS, [lane.endpoint])?;
        let ready = lane
            .ready
            .saturating_sub(usize::try_from(suspects).unwrap_or(0));
        let until = self.filling_since(lane)?.map(|since| since.after(wait));
        let is_over = until.is_none_or(|until| until <= now);
        let filling_until = until.filter(|_| !is_over && ready < events);
        let most = ready.min(all);
        let sound = match most % events {
            _ if filling_until.is_some() => 0,
            // The rest goes on to fill a batch.
            rest if !is_over && rest < most => most - rest,
            _ => most,
        };
        Ok(Allowance {
            all,
            sound,
            filling_until,
        })
    }

    /// When the one was due that waits longest.
    fn filling_since(&self, lane: &Lane) -> Result<Option<Timestamp>> {
        let since: Option<i64> = self.value(SINCE, (lane.endpoint, MOST_FILLING))?;
        Ok(since.map(Timestamp::from_millis))
    }

    /// When a batch is due of what a claim has left of a lane.
    pub(crate) fn rest_is_due(&self, endpoint: i64, now: Timestamp) -> Result<Option<Timestamp>> {
        let mut statement = self.db.prepare_cached(LANE)?;
        let lane = statement.query_row([endpoint], Lane::of).optional()?;
        drop(statement);
        let Some(lane) = lane.filter(|lane| lane.ready > 0 && lane.batch.is_some()) else {
            return Ok(None);
        };
        Ok(self.allowance(&lane, usize::MAX, now)?.filling_until)
    }
}

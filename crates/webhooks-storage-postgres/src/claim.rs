use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use webhooks_core::storage::{Claim, Claimed};
use webhooks_core::{Result, Timestamp, WebhookDelivery};

use crate::columns::{get, int, long, time};
use crate::database::Database;
use crate::error::storage_error;
use crate::row::{Events, delivery, earlier, lease};

const PROMOTE: &str = include_str!("sql/promote.sql");
const CLAIM: &str = include_str!("sql/claim.sql");
/// Scheduled deliveries that one claim makes ready at most.
const MOST_PROMOTED: i64 = 1_000;
/// How far below the last promotion the next one begins: for clocks that differ and for
/// transactions that took long to commit.
const MARGIN: Duration = Duration::from_secs(10);
/// How often a promotion begins at the very start.
const FULL_EVERY: Duration = Duration::from_secs(10);
/// Statements of one claim at most.
const MOST_ROUNDS: usize = 8;

/// What a process remembers from one claim to the next. All of it may be lost.
#[derive(Debug)]
pub(crate) struct ClaimMemory {
    /// Below this time, in milliseconds, nothing scheduled is left.
    floor: AtomicI64,
    /// When the last look was that began at the very start, and the last promotion.
    last: Mutex<(Instant, Timestamp)>,
    /// The endpoint that was looked at last, after which the next turn begins.
    turn: Mutex<String>,
}

impl ClaimMemory {
    pub(crate) fn new() -> Self {
        Self {
            floor: AtomicI64::new(0),
            last: Mutex::new((Instant::now(), Timestamp::EPOCH)),
            turn: Mutex::default(),
        }
    }

    /// Something was scheduled for this time.
    pub(crate) fn scheduled(&self, at: Timestamp) {
        self.floor.fetch_min(at.as_millis(), Ordering::AcqRel);
    }

    /// Where to begin, at `now`.
    fn begin(&self, now: Timestamp) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() >= FULL_EVERY || now < last.1 {
            *last = (Instant::now(), now);
            self.floor.store(0, Ordering::Release);
        }
        last.1 = now;
        Timestamp::from_millis(self.floor.load(Ordering::Acquire))
    }

    /// Everything from `began` up to `now` was promoted.
    fn promoted(&self, began: Timestamp, now: Timestamp) {
        let floor = now.before(MARGIN).as_millis().max(began.as_millis());
        // Unless something was scheduled below it meanwhile.
        let began = began.as_millis();
        let _changed =
            self.floor
                .compare_exchange(began, floor, Ordering::AcqRel, Ordering::Acquire);
    }

    fn turn(&self) -> String {
        let turn = self.turn.lock();
        turn.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_turn(&self, after: String) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = after;
    }
}

/// What one statement found.
struct Round {
    deliveries: Vec<(i64, i64, WebhookDelivery)>,
    /// What is left of the room of the endpoints that gave something.
    rooms: HashMap<String, i64>,
    /// There may be more to claim.
    more: bool,
    next_due: Option<Timestamp>,
}

impl Database {
    /// Claims in rounds: each takes an equal share of every endpoint, so that a round that comes
    /// back short goes on with those that had more. Almost always one is enough.
    pub(crate) async fn claim(&self, claim: &Claim<'_>, memory: &ClaimMemory) -> Result<Claimed> {
        if claim.limit == 0 {
            return Ok(Claimed::default());
        }
        let mut suspects = claim.suspects;
        let mut rooms: HashMap<String, i64> = claim
            .room
            .iter()
            .map(|room| (room.endpoint_id.to_string(), long(room.deliveries)))
            .collect();
        let (mut taken, mut next_due) = (Vec::new(), None);
        for round in 0..MOST_ROUNDS {
            let limit = claim.limit - taken.len();
            let found = match self
                .claim_round(claim, limit, suspects, &rooms, memory)
                .await
            {
                Ok(found) => found,
                // What is leased already must not be forgotten.
                Err(_) if !taken.is_empty() => break,
                Err(error) => return Err(error),
            };
            let brought = found.deliveries.iter().filter(|(_, _, d)| d.is_suspect());
            suspects -= suspects.min(brought.count());
            taken.extend(found.deliveries);
            next_due = if round == 0 {
                found.next_due
            } else {
                earlier(next_due, found.next_due)
            };
            if !found.more || taken.len() >= claim.limit {
                break;
            }
            rooms.extend(found.rooms);
        }
        taken.sort_by_key(|(key, seq, _)| (*key, *seq));
        Ok(Claimed {
            deliveries: taken.into_iter().map(|(_, _, delivery)| delivery).collect(),
            next_due,
        })
    }

    async fn claim_round(
        &self,
        claim: &Claim<'_>,
        limit: usize,
        suspects: usize,
        rooms: &HashMap<String, i64>,
        memory: &ClaimMemory,
    ) -> Result<Round> {
        const WHAT: &str = "claim deliveries";
        let connection = self.connection().await?;
        let promote = self.prepare(&connection, WHAT, PROMOTE).await?;
        let statement = self.prepare(&connection, WHAT, CLAIM).await?;
        let began = memory.begin(claim.now);
        let (now, floor) = (time(claim.now), time(began));
        let turn = memory.turn();
        let (most, per_endpoint) = (long(limit), long(claim.per_endpoint));
        let suspects = long(suspects);
        let rps = claim.rate_limit.map(|rate| int(rate.requests_per_second));
        let burst = claim.rate_limit.map(|rate| int(rate.burst_size));
        let nanos = claim.now.as_millis().saturating_mul(1_000_000);
        let (worker, rooms) = (claim.worker.as_str(), Json(rooms));
        let (promoted, rows) = try_join(
            connection.execute(&promote, &[&now, &floor, &MOST_PROMOTED]),
            connection.query(
                &statement,
                &[
                    &worker,
                    &now,
                    &most,
                    &per_endpoint,
                    &rooms,
                    &rps,
                    &burst,
                    &turn,
                    &nanos,
                    &floor,
                    &suspects,
                ],
            ),
        )
        .await
        .map_err(|error| storage_error(WHAT, &error))?;
        if promoted < MOST_PROMOTED.unsigned_abs() {
            memory.promoted(began, claim.now);
        }
        let (round, last_looked) = round(&rows, most)?;
        if let Some(last) = last_looked {
            memory.set_turn(last);
        }
        Ok(round)
    }
}

/// Reads the answer; with the endpoint after which the next turn begins, if not all were looked at.
fn round(rows: &[Row], limit: i64) -> Result<(Round, Option<String>)> {
    let mut found = Round {
        deliveries: Vec::new(),
        rooms: HashMap::new(),
        more: false,
        next_due: None,
    };
    let Some(first) = rows.first() else {
        return Ok((found, None));
    };
    let is_full = get::<i64>(first, "looked")? >= limit;
    found.more = is_full || get(first, "unfinished")?;
    found.next_due = get::<Option<SystemTime>>(first, "next_due")?.map(Into::into);
    let rooms = get::<Option<Json<HashMap<String, i64>>>>(first, "rooms")?;
    found.rooms = rooms.map_or_else(HashMap::new, |json| json.0);
    let mut events = Events::new();
    for row in rows {
        if get::<Option<i64>>(row, "seq")?.is_none() {
            continue;
        }
        let mut delivery = delivery(row, &mut events)?;
        delivery.lease = lease(row)?;
        let key = (get(row, "sort_key")?, get(row, "seq")?);
        found.deliveries.push((key.0, key.1, delivery));
    }
    let last_looked = get::<Option<String>>(first, "last_looked")?;
    Ok((found, last_looked.filter(|_| is_full)))
}

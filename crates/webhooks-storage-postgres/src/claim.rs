//! Leasing what is ready. Any number of nodes claim at once: rows are locked where they are chosen,
//! and rows that somebody has locked are passed over, so that nothing is leased twice and nobody
//! waits.

use std::collections::HashMap;
use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use webhooks_core::storage::spi::{Claim, Claimed, POISON_SUSPECT_CRASHES};
use webhooks_core::{Result, Timestamp, WebhookDelivery};

use crate::claim_memory::ClaimMemory;
use crate::columns::{get, int, long, time};
use crate::database::Database;
use crate::known_queues::Look;
use crate::row::{Events, delivery, earlier, lease};

const WHAT: &str = "claim deliveries";
const PROMOTE: &str = include_str!("sql/promote.sql");
const CLAIM: &str = include_str!("sql/claim.sql");
const ALL_QUEUES: &str = include_str!("sql/all_queues.sql");
const KNOWN_QUEUES: &str = include_str!("sql/known_queues.sql");
// A partial index is of use only where its condition stands in the statement: `crashes >= 2` cannot
// be a parameter there.
const _: () = assert!(POISON_SUSPECT_CRASHES == 2, "claim.sql and the index say 2");
/// Scheduled deliveries that one claim makes ready at most.
const MOST_PROMOTED: i64 = 1_000;
/// Statements of one claim at most.
const MOST_ROUNDS: usize = 8;

/// What is still wanted.
struct Wanted {
    limit: usize,
    suspects: usize,
    /// Of endpoints that can take another number than the usual one.
    rooms: HashMap<String, i64>,
}

/// What one statement found.
struct Round {
    deliveries: Vec<(i64, i64, WebhookDelivery)>,
    /// What is left of the room of the endpoints that were looked at.
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
        if let Some(error) = memory.take_failure(claim.worker) {
            return Err(error);
        }
        let rooms = claim.room.iter();
        let mut wanted = Wanted {
            limit: claim.limit,
            suspects: claim.poison_suspects,
            rooms: rooms
                .map(|room| (room.endpoint_id.to_string(), long(room.deliveries)))
                .collect(),
        };
        let (mut taken, mut next_due) = (Vec::new(), None);
        for round in 0..MOST_ROUNDS {
            let found = match self.claim_round(claim, &wanted, memory).await {
                Ok(found) => found,
                // What is leased already must not be forgotten, nor that more may be.
                Err(error) if !taken.is_empty() => {
                    memory.keep_failure(claim.worker, error);
                    next_due = Some(claim.now);
                    break;
                }
                Err(error) => return Err(error),
            };
            let brought = found
                .deliveries
                .iter()
                .filter(|(_, _, d)| d.is_poison_suspect());
            wanted.suspects -= wanted.suspects.min(brought.count());
            wanted.limit -= wanted.limit.min(found.deliveries.len());
            taken.extend(found.deliveries);
            next_due = if round == 0 {
                found.next_due
            } else {
                earlier(next_due, found.next_due)
            };
            if !found.more || wanted.limit == 0 {
                break;
            }
            if round + 1 == MOST_ROUNDS {
                // Endpoints that nobody looked at may have something, now or soon.
                next_due = Some(claim.now);
            }
            wanted.rooms.extend(found.rooms);
        }
        taken.sort_by_key(|(key, seq, _)| (*key, *seq));
        Ok(Claimed {
            deliveries: taken.into_iter().map(|(_, _, delivery)| delivery).collect(),
            next_due,
        })
    }

    /// Takes what is ready, unless something is due that is not ready yet: then nothing, so as to
    /// make that ready first and ask again. If this process expects as much, it begins with that.
    async fn claim_round(
        &self,
        claim: &Claim<'_>,
        wanted: &Wanted,
        memory: &ClaimMemory,
    ) -> Result<Round> {
        let due_floor = memory.due_floor(claim.now);
        let mut promoted = memory.may_be_due(claim.now);
        loop {
            if promoted {
                self.promote(claim.now, due_floor, memory).await?;
            }
            // What has become due may have been below what was known.
            let look = memory.look(memory.rests());
            let asking = self.ask(claim, wanted, &look, due_floor, promoted);
            let (round, last_looked) = round(&asking.await?, long(wanted.limit))?;
            memory.looked_for_due(due_floor, claim.now, round.next_due);
            if !promoted && round.next_due.is_some_and(|at| at <= claim.now) {
                promoted = true;
                continue;
            }
            let without_room = wanted.rooms.iter().filter(|(_, room)| **room == 0);
            let may_have_more = without_room.chain(&round.rooms).map(|(id, _)| id.as_str());
            let taken = round.deliveries.iter();
            memory.looked(
                &look,
                claim.now,
                last_looked,
                taken.map(|(key, _, d)| (&d.endpoint_id, *key)),
                may_have_more,
            );
            return Ok(round);
        }
    }

    /// Makes ready what has become due.
    async fn promote(&self, now: Timestamp, floor: Timestamp, memory: &ClaimMemory) -> Result<()> {
        let params: [&(dyn ToSql + Sync); 3] = [&time(now), &time(floor), &MOST_PROMOTED];
        let rows = self.query(WHAT, PROMOTE, &params).await?;
        for row in rows {
            let endpoint_id = get::<&str>(&row, "endpoint_id")?.into();
            memory.ready(&endpoint_id, get(&row, "sort_key")?);
        }
        Ok(())
    }

    async fn ask(
        &self,
        claim: &Claim<'_>,
        wanted: &Wanted,
        look: &Look,
        due_floor: Timestamp,
        promoted: bool,
    ) -> Result<Vec<Row>> {
        let queues = if look.known.is_some() {
            KNOWN_QUEUES
        } else {
            ALL_QUEUES
        };
        let sql = CLAIM.replace("@queues", queues);
        let (now, due_floor) = (time(claim.now), time(due_floor));
        let (limit, suspects) = (long(wanted.limit), long(wanted.suspects));
        let per_endpoint = long(claim.per_endpoint);
        let rps = claim.rate_limit.map(|rate| int(rate.requests_per_second));
        let burst = claim.rate_limit.map(|rate| int(rate.burst_size));
        let nanos = claim.now.as_millis().saturating_mul(1_000_000);
        let (worker, rooms) = (claim.worker.as_str(), Json(&wanted.rooms));
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![
            &worker,
            &now,
            &limit,
            &per_endpoint,
            &rooms,
            &rps,
            &burst,
            &look.after,
            &nanos,
            &due_floor,
            &suspects,
            &promoted,
        ];
        let known = look.known.as_ref();
        let opened_since = known.map(|known| time(known.opened_since));
        if let (Some(known), Some(opened_since)) = (known, &opened_since) {
            params.extend([
                &known.ids as &(dyn ToSql + Sync),
                &known.floors,
                opened_since,
            ]);
        }
        self.query(WHAT, &sql, &params).await
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

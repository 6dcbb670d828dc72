//! Beats, and what becomes of the deliveries of workers that stop beating.

use rusqlite::Connection;
use webhooks_core::storage::WorkerRecord;
use webhooks_core::storage::spi::{Beat, HeldLease, POISON_CRASHES, WORKER_DEAD_AFTER};
use webhooks_core::{DeadReason, DeliveryId, Timestamp, WorkerId};

use crate::columns::{long, number_at, time_at, uuid_at};
use crate::error::Result;
use crate::row::{Row, select_rows};
use crate::state::{State, all, find};

/// Deliveries that one beat takes back at most; the next ones take the rest.
const MOST_RESCUED: usize = 5_000;

const FIND: &str = "SELECT seq FROM webhook_workers WHERE id = ?1";
const ADD: &str = "INSERT INTO webhook_workers (id, seen_at, has_beaten, given_up) \
    VALUES (?1, ?2, 0, 0)";
const LAST: &str = "SELECT seen_at, has_beaten, given_up FROM webhook_workers WHERE seq = ?1";
const BEAT: &str = "UPDATE webhook_workers SET seen_at = ?2, has_beaten = 1, given_up = 0 \
    WHERE seq = ?1";
const OTHERS: &str = "SELECT seq, seen_at FROM webhook_workers";
const GIVE_UP: &str = "UPDATE webhook_workers SET given_up = 1 WHERE seq = ?1 AND given_up = 0";
const LEASED: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_leased \
     WHERE q.state = 3 AND q.worker = ?1 LIMIT ?2"
);
const HELD: &str = "SELECT q.id, e.id, q.token FROM webhook_workers w \
    JOIN webhook_queue q INDEXED BY idx_webhook_queue_leased ON q.worker = w.seq AND q.state = 3 \
    JOIN webhook_endpoints e ON e.seq = q.endpoint \
    WHERE w.id = ?1 AND q.id > ?2 ORDER BY q.id LIMIT ?3";
const ALL: &str = "SELECT id, seen_at, (SELECT count(*) FROM webhook_queue q \
    WHERE q.state = 3 AND q.worker = w.seq) FROM webhook_workers w ORDER BY id";
const FORGET: &str = "DELETE FROM webhook_workers WHERE seen_at < ?1 \
    AND NOT EXISTS (SELECT 1 FROM webhook_queue q WHERE q.state = 3 AND q.worker = webhook_workers.seq)";
const LOOK: &str = "SELECT revision, EXISTS (SELECT 1 FROM webhook_outbox WHERE refused_at IS NULL) \
    OR EXISTS (SELECT 1 FROM webhook_fan_outs) FROM webhook_meta";

impl State {
    /// The number of a worker, which is made known if it is not.
    pub(crate) fn worker(&mut self, id: &WorkerId, now: Timestamp) -> Result<i64> {
        // `seen_at` stays as it is: of a known worker, only a beat is a sign of life.
        if let Some(known) = self.known_worker(id)? {
            return Ok(known);
        }
        self.execute(ADD, (id.as_str(), now.as_millis()))?;
        let new = self.db.last_insert_rowid();
        self.memory.workers.insert(id.clone(), new);
        Ok(new)
    }

    pub(crate) fn known_worker(&mut self, id: &WorkerId) -> Result<Option<i64>> {
        if let Some(known) = self.memory.workers.get(id) {
            return Ok(Some(*known));
        }
        let found = self.find(FIND, [id.as_str()], |row| row.get(0))?;
        if let Some(found) = found {
            self.memory.workers.insert(id.clone(), found);
        }
        Ok(found)
    }

    /// Notes a sign of life, and takes back what silent workers hold.
    pub(crate) fn beat(&mut self, worker: &WorkerId, now: Timestamp) -> Result<Beat> {
        self.write_numbers()?;
        let mut beat = look(&self.db, now)?;
        let seq = self.worker(worker, now)?;
        let last = self.find(LAST, [seq], |row| {
            Ok((time_at(row, 0)?, row.get(1)?, row.get(2)?))
        })?;
        let (seen_at, has_beaten, given_up): (Timestamp, bool, bool) =
            last.unwrap_or((now, false, false));
        // Judged by the beat before this one, and before it is overwritten. Only a worker that has
        // beaten twice in a row may judge others: after a standstill of the whole machine, all of
        // them look silent to the first that wakes, and it would give healthy ones up.
        let in_a_row =
            has_beaten && !given_up && seen_at >= self.started_at && !self.is_silent(seen_at, now);
        beat.before = has_beaten.then_some(seen_at);
        // Told once, and in the same step forgotten: the worker goes on as a new one, and only its
        // old tokens stay worthless.
        beat.lost = given_up;
        self.execute(BEAT, (seq, now.as_millis()))?;
        if in_a_row {
            beat.rescued = self.rescue(now)?;
        }
        Ok(beat)
    }

    /// Whether a worker may be given up for dead. No silence is older than the storage, which may
    /// have been what was silent.
    fn is_silent(&self, seen_at: Timestamp, now: Timestamp) -> bool {
        now.since(seen_at.max(self.started_at)) >= WORKER_DEAD_AFTER
    }

    /// Gives silent workers up and takes their deliveries back.
    fn rescue(&mut self, now: Timestamp) -> Result<usize> {
        let others = self.all(OTHERS, [], |row| {
            Ok((row.get::<_, i64>(0)?, time_at(row, 1)?))
        })?;
        let mut rescued = 0;
        for (worker, seen_at) in others {
            if !self.is_silent(seen_at, now) {
                continue;
            }
            // One that was given up may have claimed again before it heard of it.
            self.execute(GIVE_UP, [worker])?;
            let orphans = self.all(LEASED, (worker, long(MOST_RESCUED - rescued)), Row::of)?;
            for mut row in orphans {
                self.take_back(&mut row, now)?;
                rescued += 1;
            }
        }
        Ok(rescued)
    }

    /// Takes one delivery from a dead worker: it waits again, unless it cannot or was there at too
    /// many deaths.
    fn take_back(&mut self, row: &mut Row, now: Timestamp) -> Result<()> {
        row.crashes = row.crashes.saturating_add(1);
        // What was leased straight from a send may be due only later by its own time; its turn had
        // come already, so it is ready at once.
        let due_at = row.due_at.min(now);
        // Before the poison rule: what can never be sent again is no dead letter that somebody
        // should replay.
        if let Some(reason) = self.stranded(row)? {
            self.cancel(row, reason, now)
        } else if row.crashes >= POISON_CRASHES {
            self.bury(row, DeadReason::Poison, now)
        } else {
            self.wait_until(row, due_at, now)
        }
    }

    /// Forgets workers that hold nothing and have not been seen since `cutoff`.
    pub(crate) fn forget_workers(&mut self, cutoff: Timestamp) -> Result<()> {
        if self.execute(FORGET, [cutoff.as_millis()])? > 0 {
            self.memory.workers.clear();
        }
        Ok(())
    }
}

/// A beat of nobody: what there is to see.
pub(crate) fn look(db: &Connection, now: Timestamp) -> Result<Beat> {
    let found = find(db, LOOK, [], |row| Ok((number_at(row, 0)?, row.get(1)?)))?;
    let (revision, outbox) = found.unwrap_or_default();
    Ok(Beat {
        now,
        revision,
        outbox,
        ..Beat::default()
    })
}

/// What a worker holds, by id, behind `after`.
pub(crate) fn leased_by(
    db: &Connection,
    worker: &WorkerId,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<HeldLease>> {
    let after = after
        .map(|id| id.as_uuid().into_bytes().to_vec())
        .unwrap_or_default();
    all(db, HELD, (worker.as_str(), after, long(limit)), |row| {
        Ok(HeldLease {
            delivery_id: DeliveryId::from_uuid(uuid_at(row, 0)?),
            endpoint_id: row.get(1)?,
            token: number_at(row, 2)?,
        })
    })
}

/// The workers that are remembered, by id.
pub(crate) fn workers(db: &Connection) -> Result<Vec<WorkerRecord>> {
    all(db, ALL, [], |row| {
        let id = WorkerId::named(row.get_ref(0)?.as_str()?);
        Ok(WorkerRecord::new(id, time_at(row, 1)?, number_at(row, 2)?))
    })
}

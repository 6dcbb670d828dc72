//! Dropping events that nothing refers to any more.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;
use webhooks_core::{EventId, Result, Timestamp};

use crate::columns::{get, long, time};
use crate::database::Database;
use crate::error::{commit_error, storage_error};
use crate::filter::same_millisecond;

const WHAT: &str = "drop events";
/// In the order of their ids, from where the last look ended.
const LOOK: &str = "SELECT id FROM @.webhook_events WHERE id > $1::uuid AND id <= $2::uuid \
    ORDER BY id LIMIT $3::bigint";
/// Who makes a delivery of one waits for this lock, or is waited for and then seen.
const LOCK: &str = "SELECT id FROM @.webhook_events WHERE id = ANY ($1::uuid[]) \
    AND created_at <= $2::timestamptz ORDER BY id FOR UPDATE SKIP LOCKED";
const DROP: &str = include_str!("sql/drop_events.sql");
/// Events that one sweep looks at.
const MOST_LOOKED: i64 = 10_000;

/// Where this process goes on with its looks for events to drop: events that a dead letter keeps for
/// months are looked at once in a round, and not in each sweep.
#[derive(Debug, Default)]
pub(crate) struct EventRound(Mutex<Uuid>);

impl EventRound {
    fn get(&self) -> Uuid {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: Uuid) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl Database {
    /// Drops events that were sent at this time or before: how many, at most `limit`.
    pub(crate) async fn drop_events(
        &self,
        round: &EventRound,
        cutoff: Timestamp,
        limit: usize,
    ) -> Result<usize> {
        let mut dropped = 0;
        let mut looked = 0;
        while dropped < limit && looked < MOST_LOOKED {
            // No event is dropped before its time: an id that is older than its event is looked at in
            // vain, and one that is younger is looked at later.
            let (_, last) = same_millisecond(EventId::new(cutoff).as_uuid());
            let most = long(limit - dropped).min(1_000);
            let from = round.get();
            let rows = self.query(WHAT, LOOK, &[&from, &last, &most]).await?;
            let ids: Vec<Uuid> = rows
                .iter()
                .map(|row| get(row, "id"))
                .collect::<Result<_>>()?;
            let is_last = long(ids.len()) < most;
            dropped += match ids.is_empty() {
                true => 0,
                false => self.repeat(|| self.drop_these(&ids, cutoff)).await?,
            };
            looked += long(ids.len());
            round.set(ids.last().copied().filter(|_| !is_last).unwrap_or_default());
            if is_last {
                break;
            }
        }
        Ok(dropped)
    }

    async fn drop_these(&self, ids: &[Uuid], cutoff: Timestamp) -> Result<usize> {
        let mut connection = self.connection().await?;
        let error = |error| storage_error(WHAT, &error);
        let on = self.begin(&mut connection, WHAT).await?;
        let lock = on.prepare_cached(&self.sql(LOCK)).await.map_err(error)?;
        let locked = on.query(&lock, &[&ids, &time(cutoff)]).await;
        let locked = locked.map_err(error)?;
        let locked: Vec<Uuid> = locked
            .iter()
            .map(|row| get(row, "id"))
            .collect::<Result<_>>()?;
        // A statement of its own, which sees what was stored before the lock was had.
        let sql = on.prepare_cached(&self.sql(DROP)).await.map_err(error)?;
        let dropped = on.execute(&sql, &[&locked]).await.map_err(error)?;
        let committed = on.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(usize::try_from(dropped).unwrap_or(0))
    }
}

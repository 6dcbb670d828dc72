//! Signs of life, and what becomes of the leases of those that give none. Only who has beaten twice
//! in a row takes back: one that was away itself cannot tell who is dead.

use std::time::SystemTime;

use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use webhooks_core::storage::spi::{Beat, POISON_CRASHES, WORKER_DEAD_AFTER};
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::columns::{get, get_time, get_u64, int, long, time};
use crate::database::Database;
use crate::rescue_rest::RescueRest;

const BEAT: &str = include_str!("sql/beat.sql");
const RESCUE: &str = include_str!("sql/rescue.sql");
/// Deliveries that one statement takes back at most.
const RESCUED_AT_ONCE: i64 = 1_000;
/// Statements of one beat at most, so that a beat never lasts as long as to be late.
const MOST_RESCUES: usize = 20;

impl Database {
    pub(crate) async fn beat(
        &self,
        worker: Option<&WorkerId>,
        at: Option<Timestamp>,
        rest: &RescueRest,
    ) -> Result<Beat> {
        let (id, at) = (worker.map(WorkerId::as_str), at.map(time));
        let dead_after_ms = long(WORKER_DEAD_AFTER.as_millis());
        let rows = self
            .query("beat", BEAT, &[&id, &at, &dead_after_ms])
            .await?;
        let mut beat = Beat::default();
        if let Some(row) = rows.first() {
            beat.now = get_time(row, "now")?;
            beat.revision = get_u64(row, "revision")?;
            beat.lost = get(row, "lost")?;
            beat.before = get::<Option<SystemTime>>(row, "before")?.map(Timestamp::from);
            beat.outbox = get(row, "outbox")?;
            let looks = get(row, "newly_silent")? || get(row, "silent")? && rest.is_over();
            if looks && get(row, "in_a_row")? {
                let began = Instant::now();
                beat.rescued = self.rescue(beat.now).await;
                rest.looked(began.elapsed(), beat.rescued);
            }
        }
        Ok(beat)
    }

    /// Takes the deliveries of silent workers back. The beat was taken whatever comes of it, and
    /// the next one tries again.
    async fn rescue(&self, now: Timestamp) -> usize {
        let mut rescued = 0;
        for _ in 0..MOST_RESCUES {
            match self.rescue_some(now).await {
                Ok(some) => {
                    rescued += usize::try_from(some).unwrap_or(0);
                    if some < RESCUED_AT_ONCE {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take back the deliveries of dead workers");
                    break;
                }
            }
        }
        rescued
    }

    async fn rescue_some(&self, now: Timestamp) -> Result<i64> {
        let parameters: [&(dyn ToSql + Sync); 4] = [
            &time(now),
            &time(now.before(WORKER_DEAD_AFTER)),
            &int(POISON_CRASHES),
            &RESCUED_AT_ONCE,
        ];
        let rows = self.query_at("take deliveries back", RESCUE, &parameters, now);
        let rows = rows.await?;
        rows.first().map_or(Ok(0), |row| get(row, "rescued"))
    }
}

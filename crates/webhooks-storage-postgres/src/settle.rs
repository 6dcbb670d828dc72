use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;
use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::{AttemptRecord, Result, Timestamp, WorkerId};

use crate::columns::{get, int, long, time};
use crate::database::Database;

const SETTLE: &str = include_str!("sql/settle.sql");

/// Settlements and attempts, column by column.
#[derive(Default)]
struct Columns<'a> {
    n: Vec<i32>,
    id: Vec<Uuid>,
    token: Vec<i64>,
    kind: Vec<i16>,
    at: Vec<SystemTime>,
    reason: Vec<Option<&'a str>>,
    counts: Vec<bool>,
    /// Of those that may wait again.
    endpoint_id: Vec<&'a str>,
    attempt_n: Vec<i32>,
    started_at: Vec<SystemTime>,
    duration_us: Vec<i64>,
    number: Vec<i32>,
    status: Vec<Option<i16>>,
    failure: Vec<Option<&'a str>>,
    response: Vec<&'a [u8]>,
    ambiguous: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, settlement: &'a Settlement, now: Timestamp) {
        let n = i32::try_from(self.n.len()).unwrap_or(i32::MAX);
        let (kind, at, reason) = match settlement.settle_as {
            SettleAs::Delivered => (0, now, None),
            SettleAs::Retry { at } => (1, at, None),
            SettleAs::Dead { reason } => (2, now, Some(reason.as_str())),
            SettleAs::Release { at } => (3, at, None),
            SettleAs::Cancelled { reason } => (4, now, Some(reason.as_str())),
        };
        self.n.push(n);
        self.id.push(settlement.delivery_id.as_uuid());
        self.token.push(long(settlement.token));
        self.kind.push(kind);
        self.at.push(time(at));
        self.reason.push(reason);
        self.counts.push(settlement.attempt.is_some());
        if matches!(kind, 1 | 3) {
            self.endpoint_id.push(&settlement.endpoint_id);
        }
        if let Some(attempt) = &settlement.attempt {
            self.push_attempt(n, attempt);
        }
    }

    fn push_attempt(&mut self, n: i32, attempt: &'a AttemptRecord) {
        self.attempt_n.push(n);
        self.started_at.push(time(attempt.started_at));
        self.duration_us.push(long(attempt.duration.as_micros()));
        self.number.push(int(attempt.number));
        let status = attempt.status.map(i16::try_from);
        self.status.push(status.and_then(std::result::Result::ok));
        self.failure.push(attempt.failure.map(|kind| kind.as_str()));
        self.response.push(&attempt.response);
        self.ambiguous.push(attempt.ambiguous);
    }
}

impl Database {
    pub(crate) async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let mut c = Columns::default();
        settlements.iter().for_each(|s| c.push(s, now));
        let rows = self
            .query(
                "settle deliveries",
                SETTLE,
                &[
                    &worker.as_str(),
                    &time(now),
                    &c.n,
                    &c.id,
                    &c.token,
                    &c.kind,
                    &c.at,
                    &c.reason,
                    &c.attempt_n,
                    &c.started_at,
                    &c.duration_us,
                    &c.number,
                    &c.status,
                    &c.failure,
                    &c.response,
                    &c.counts,
                    &c.endpoint_id,
                    &c.ambiguous,
                ],
            )
            .await?;
        let mut settled = vec![Settled::Stale; settlements.len()];
        for row in &rows {
            let n = usize::try_from(get::<i32>(row, "n")?).unwrap_or(usize::MAX);
            if let Some(slot) = settled.get_mut(n) {
                *slot = if get(row, "is_cancelled")? {
                    Settled::Cancelled
                } else {
                    Settled::Applied
                };
            }
        }
        Ok(settled)
    }
}

/// The times at which settled deliveries are due again.
pub(crate) fn due_again(
    settlements: &[Settlement],
) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
    settlements.iter().filter_map(|s| match s.settle_as {
        SettleAs::Retry { at } | SettleAs::Release { at } => Some((&s.endpoint_id, at)),
        SettleAs::Delivered | SettleAs::Dead { .. } | SettleAs::Cancelled { .. } => None,
    })
}

//! Storing what came of requests, in one statement. Who does not hold the current lease of a
//! delivery changes nothing but its log, so that a settlement that is late, or comes twice, does no
//! harm.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::{AttemptRecord, Result, Timestamp, WorkerId};

use crate::columns::{get, int, long, time};
use crate::database::Database;

const SETTLE: &str = include_str!("sql/settle.sql");

/// Settlements, column by column, in the order of the statement.
#[derive(Default)]
struct Settlements<'a> {
    n: Vec<i32>,
    delivery_id: Vec<Uuid>,
    token: Vec<i64>,
    become_: Vec<&'static str>,
    due_at: Vec<Option<SystemTime>>,
    reason: Vec<Option<&'a str>>,
    was_attempted: Vec<bool>,
}

impl<'a> Settlements<'a> {
    fn push(&mut self, n: i32, settlement: &'a Settlement) {
        let (become_, due_at, reason) = match settlement.settle_as {
            SettleAs::Delivered => ("delivered", None, None),
            SettleAs::Retry { at } => ("retry", Some(at), None),
            SettleAs::Dead { reason } => ("dead", None, Some(reason.as_str())),
            SettleAs::Release { at } => ("release", Some(at), None),
            SettleAs::Cancelled { reason } => ("cancelled", None, Some(reason.as_str())),
        };
        self.n.push(n);
        self.delivery_id.push(settlement.delivery_id.as_uuid());
        self.token.push(long(settlement.token));
        self.become_.push(become_);
        self.due_at.push(due_at.map(time));
        self.reason.push(reason);
        self.was_attempted.push(settlement.attempt.is_some());
    }
}

/// Attempts, column by column, in the order of the statement.
#[derive(Default)]
struct Attempts<'a> {
    n: Vec<i32>,
    delivery_id: Vec<Uuid>,
    token: Vec<i64>,
    started_at: Vec<SystemTime>,
    duration_us: Vec<i64>,
    number: Vec<i32>,
    status: Vec<Option<i16>>,
    ambiguous: Vec<bool>,
    failure: Vec<Option<&'a str>>,
    response: Vec<&'a [u8]>,
}

impl<'a> Attempts<'a> {
    fn push(&mut self, n: i32, of: &Settlement, attempt: &'a AttemptRecord) {
        self.n.push(n);
        self.delivery_id.push(of.delivery_id.as_uuid());
        self.token.push(long(of.token));
        self.started_at.push(time(attempt.started_at));
        self.duration_us.push(long(attempt.duration.as_micros()));
        self.number.push(int(attempt.number));
        let status = attempt.status.map(i16::try_from);
        self.status.push(status.and_then(std::result::Result::ok));
        self.ambiguous.push(attempt.ambiguous);
        self.failure.push(attempt.failure.map(|kind| kind.as_str()));
        self.response.push(&attempt.response);
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
        let (mut s, mut a) = (Settlements::default(), Attempts::default());
        for (n, settlement) in (0..).zip(settlements) {
            s.push(n, settlement);
            if let Some(attempt) = &settlement.attempt {
                a.push(n, settlement, attempt);
            }
        }
        let waiting = due_again(settlements).map(|(endpoint_id, _)| &**endpoint_id);
        let endpoints: Vec<&str> = waiting.collect();
        #[rustfmt::skip]
        let parameters: [&(dyn ToSql + Sync); 20] = [
            &worker.as_str(), &time(now),
            &s.n, &s.delivery_id, &s.token, &s.become_, &s.due_at, &s.reason, &s.was_attempted,
            &endpoints,
            &a.n, &a.delivery_id, &a.token, &a.started_at, &a.duration_us, &a.number, &a.status,
            &a.ambiguous, &a.failure, &a.response,
        ];
        let rows = self.query("settle deliveries", SETTLE, &parameters).await?;
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

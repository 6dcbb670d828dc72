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
use crate::raw_json::RawJson;

const SETTLE: &str = include_str!("sql/settle.sql");

/// Locks the orders of these deliveries, if they have some.
pub(crate) const LOCK_ORDERS: &str = include_str!("sql/lock_orders.sql");

/// Settlements with their attempts, column by column, in the order of the statement.
#[derive(Default)]
struct Settlements<'a> {
    delivery_id: Vec<Uuid>,
    token: Vec<i64>,
    become_: Vec<&'static str>,
    due_at: Vec<Option<SystemTime>>,
    reason: Vec<Option<&'a str>>,
    started_at: Vec<Option<SystemTime>>,
    duration_us: Vec<Option<i64>>,
    number: Vec<Option<i32>>,
    status: Vec<Option<i16>>,
    ambiguous: Vec<bool>,
    failure: Vec<Option<&'a str>>,
    response: Vec<Option<&'a [u8]>>,
    response_headers: Vec<RawJson>,
}

impl<'a> Settlements<'a> {
    fn push(&mut self, settlement: &'a Settlement) -> Result<()> {
        let (become_, due_at, reason) = match settlement.settle_as {
            SettleAs::Delivered => ("delivered", None, None),
            SettleAs::Retry { at } => ("retry", Some(at), None),
            SettleAs::Dead { reason } => ("dead", None, Some(reason.as_str())),
            SettleAs::Release { at } => ("release", Some(at), None),
            SettleAs::Cancelled { reason } => ("cancelled", None, Some(reason.as_str())),
        };
        self.delivery_id.push(settlement.delivery_id.as_uuid());
        self.token.push(long(settlement.token));
        self.become_.push(become_);
        self.due_at.push(due_at.map(time));
        self.reason.push(reason);
        self.push_attempt(settlement.attempt.as_ref())
    }

    fn push_attempt(&mut self, attempt: Option<&'a AttemptRecord>) -> Result<()> {
        self.started_at.push(attempt.map(|a| time(a.started_at)));
        let micros = attempt.map(|a| long(a.duration.as_micros()));
        self.duration_us.push(micros);
        self.number.push(attempt.map(|a| int(a.number)));
        let status = attempt.and_then(|a| i16::try_from(a.status?).ok());
        self.status.push(status);
        self.ambiguous.push(attempt.is_some_and(|a| a.ambiguous));
        let failure = attempt.and_then(|a| a.failure);
        self.failure.push(failure.map(|kind| kind.as_str()));
        self.response.push(attempt.map(|a| &a.response[..]));
        let headers = attempt.map_or(&[][..], |a| &a.response_headers);
        self.response_headers.push(match headers.is_empty() {
            true => RawJson::default(),
            // As pairs, since a name may come twice.
            false => RawJson(serde_json::to_vec(headers)?.into()),
        });
        Ok(())
    }
}

impl Database {
    pub(crate) async fn settle(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        ordered: bool,
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let mut s = Settlements::default();
        for settlement in settlements {
            s.push(settlement)?;
        }
        let waiting = due_again(settlements).map(|(endpoint_id, _)| &**endpoint_id);
        let endpoints: Vec<&str> = waiting.collect();
        #[rustfmt::skip]
        let parameters: [&(dyn ToSql + Sync); 16] = [
            &worker.as_str(), &time(now),
            &s.delivery_id, &s.token, &s.become_, &s.due_at, &s.reason, &endpoints,
            &s.started_at, &s.duration_us, &s.number, &s.status, &s.ambiguous, &s.failure,
            &s.response, &s.response_headers,
        ];
        let lock: [&(dyn ToSql + Sync); 1] = [&s.delivery_id];
        let before = ordered.then_some((LOCK_ORDERS, &lock[..]));
        let at = ordered.then_some(now);
        let rows = self.query_after("settle deliveries", before, SETTLE, &parameters, at);
        let mut settled = vec![Settled::Stale; settlements.len()];
        for row in &rows.await? {
            let n = usize::try_from(get::<i64>(row, "n")? - 1).unwrap_or(usize::MAX);
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

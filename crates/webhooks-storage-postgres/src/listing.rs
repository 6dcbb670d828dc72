use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::Row;
use uuid::Uuid;
use webhooks_core::storage::{DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{AttemptRecord, DeliveryId, DeliveryState, Result};

use crate::columns::{get, get_time, get_u32, long, named};
use crate::database::Database;
use crate::filter::{Filter, Table};
use crate::row::{DELIVERY_COLUMNS, Events, delivery, lease};

const ATTEMPTS: &str = "SELECT delivery_id, started_at, duration_us, number, status, ambiguous, \
    failure, response FROM @.webhook_attempts WHERE delivery_id = ANY ($1::uuid[]) \
    ORDER BY started_at, number, seq";

impl Database {
    pub(crate) async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let mut filter = Filter::new(query);
        let limit = filter.parameter(long(query.limit));
        let branches: Vec<_> = [Table::Queue, Table::Archive]
            .into_iter()
            .filter_map(|table| {
                let conditions = filter.of(table)?;
                Some(branch(table, &conditions, filter.order, &limit))
            })
            .collect();
        let mut page = Page::new(Vec::new(), None);
        if query.limit == 0 || branches.is_empty() {
            return Ok(page);
        }
        let sql = format!(
            "SELECT * FROM ({}) q ORDER BY id DESC LIMIT {limit}",
            branches.join(" UNION ALL ")
        );
        let rows = self
            .query("list deliveries", &sql, &filter.parameters())
            .await?;
        let mut events = Events::new();
        for row in &rows {
            page.items.push(record(row, &mut events)?);
        }
        if query.with_attempts {
            self.attach_attempts(&mut page.items).await?;
        }
        let last = page.items.last().map(|record| record.delivery.id);
        page.next = last.filter(|_| page.items.len() == query.limit);
        Ok(page)
    }

    async fn attach_attempts(&self, records: &mut [DeliveryRecord]) -> Result<()> {
        let ids: Vec<Uuid> = records.iter().map(|r| r.delivery.id.as_uuid()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self.query("read attempts", ATTEMPTS, &[&ids]).await?;
        let mut attempts: HashMap<_, Vec<_>> = HashMap::new();
        for row in &rows {
            let attempt = attempt(row)?;
            attempts
                .entry(attempt.delivery_id)
                .or_default()
                .push(attempt);
        }
        for record in records {
            record.attempts = attempts.remove(&record.delivery.id).unwrap_or_default();
        }
        Ok(())
    }
}

fn branch(table: Table, conditions: &str, order: &str, limit: &str) -> String {
    let (name, state, rest) = match table {
        Table::Queue => (
            "webhook_queue",
            "CASE q.status WHEN 'processing' THEN 'leased' WHEN 'dead' THEN 'dead' \
                ELSE CASE WHEN q.is_ready THEN 'ready' ELSE 'scheduled' END END",
            "q.worker, q.token, q.incarnation, q.by_name, q.dead_reason AS reason",
        ),
        Table::Archive => (
            "webhook_archive",
            "q.status",
            "NULL::text AS worker, NULL::bigint AS token, NULL::bigint AS incarnation, \
             NULL::boolean AS by_name, q.cancel_reason AS reason",
        ),
    };
    format!(
        "(SELECT {DELIVERY_COLUMNS}, q.updated_at, {state} AS state, {rest} FROM @.{name} q \
         WHERE {conditions} ORDER BY {order} DESC LIMIT {limit})"
    )
}

fn record(row: &Row, events: &mut Events) -> Result<DeliveryRecord> {
    let state = named("state", get(row, "state")?)?;
    let mut delivery = delivery(row, events)?;
    if state == DeliveryState::Leased {
        delivery.lease = lease(row)?;
    }
    let reason = |of| match state == of {
        true => get::<Option<&str>>(row, "reason"),
        false => Ok(None),
    };
    let dead_reason = reason(DeliveryState::Dead)?.map(|name| named("dead_reason", name));
    let mut record = DeliveryRecord::new(delivery, state, get_time(row, "updated_at")?);
    record.dead_reason = dead_reason.transpose()?;
    record.cancel_reason = reason(DeliveryState::Cancelled)?.and_then(|name| name.parse().ok());
    Ok(record)
}

fn attempt(row: &Row) -> Result<AttemptRecord> {
    let status = get::<Option<i16>>(row, "status")?;
    let micros = u64::try_from(get::<i64>(row, "duration_us")?).unwrap_or(0);
    let failure = get::<Option<&str>>(row, "failure")?.map(|name| named("failure", name));
    let delivery_id = DeliveryId::from_uuid(get(row, "delivery_id")?);
    let (number, started_at) = (get_u32(row, "number")?, get_time(row, "started_at")?);
    let mut attempt = AttemptRecord::new(delivery_id, number, started_at);
    attempt.duration = Duration::from_micros(micros);
    attempt.status = status.and_then(|n| u16::try_from(n).ok());
    attempt.failure = failure.transpose()?;
    attempt.response = Bytes::copy_from_slice(get(row, "response")?);
    attempt.ambiguous = get(row, "ambiguous")?;
    Ok(attempt)
}

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio_postgres::Row;
use uuid::Uuid;
use webhooks_core::storage::{DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{AttemptRecord, DeliveryId, DeliveryState, Result};

use crate::columns::{get, get_time, get_u32, long, named};
use crate::database::Database;
use crate::filter::{Filter, Table};
use crate::raw_json::JsonText;
use crate::row::{Events, delivery, lease};

/// The last attempt of what was delivered or cancelled is in the archive.
const ATTEMPTS: &str = "SELECT * FROM (SELECT delivery_id, started_at, duration_us, number, status, \
        ambiguous, failure, response, response_headers, seq \
    FROM @.webhook_attempts WHERE delivery_id = ANY ($1::uuid[]) \
    UNION ALL SELECT id, started_at, duration_us, number, last_status, false, last_failure, \
        coalesce(response, ''), response_headers, 9223372036854775807 \
    FROM @.webhook_archive WHERE id = ANY ($1) AND started_at IS NOT NULL) a \
    ORDER BY started_at, number, seq";
const COLUMNS: &str = "q.id, q.endpoint_id, q.event_id, q.next_retry_at, q.attempts, q.crashes, \
    q.incarnation, q.by_name, q.order_key, q.holds, q.last_status, q.last_failure, q.updated_at, \
    e.created_at, e.max_retries, e.priority, e.event_type, e.tenant, e.ordering_key, e.traceparent, \
    e.tracestate, CASE WHEN NOT q.is_erased THEN e.payload END AS payload";

impl Database {
    pub(crate) async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let mut filter = Filter::new(query);
        let limit = filter.parameter(long(query.limit));
        let mut branches = Vec::new();
        for table in [Table::Queue, Table::Archive] {
            let ways = filter.ways(table);
            branches.extend(
                ways.iter()
                    .map(|way| branch(table, way, filter.order, &limit)),
            );
        }
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
    let (state, rest) = match table {
        Table::Queue => (
            "CASE q.status WHEN 'processing' THEN 'leased' \
                WHEN 'pending' THEN CASE WHEN q.is_ready THEN 'ready' ELSE 'scheduled' END \
                ELSE q.status END",
            "q.worker, q.token, q.dead_reason AS reason",
        ),
        Table::Archive => (
            "q.status",
            "NULL::text AS worker, q.token, q.cancel_reason AS reason",
        ),
    };
    format!(
        "(SELECT {COLUMNS}, {state} AS state, {rest} \
         FROM @.{} q JOIN @.webhook_events e ON e.id = q.event_id \
         WHERE {conditions} ORDER BY {order} DESC LIMIT {limit})",
        table.name()
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
    let status = get::<Option<i16>>(row, "last_status")?;
    record.last_status = status.and_then(|n| u16::try_from(n).ok());
    let failure = get::<Option<&str>>(row, "last_failure")?;
    let failure = failure.map(|name| named("last_failure", name));
    record.last_failure = failure.transpose()?;
    Ok(record)
}

fn attempt(row: &Row) -> Result<AttemptRecord> {
    let status = get::<Option<i16>>(row, "status")?;
    let micros = u64::try_from(get::<i64>(row, "duration_us")?).unwrap_or(0);
    let failure = get::<Option<&str>>(row, "failure")?.map(|name| named("failure", name));
    let delivery_id = DeliveryId::from_uuid(get(row, "delivery_id")?);
    let started_at = get::<SystemTime>(row, "started_at")?.into();
    let mut attempt = AttemptRecord::new(delivery_id, get_u32(row, "number")?, started_at);
    attempt.duration = Duration::from_micros(micros);
    attempt.status = status.and_then(|n| u16::try_from(n).ok());
    attempt.failure = failure.transpose()?;
    attempt.response = Bytes::copy_from_slice(get(row, "response")?);
    if let Some(headers) = get::<Option<JsonText<'_>>>(row, "response_headers")? {
        attempt.response_headers = serde_json::from_slice(headers.0)?;
    }
    attempt.ambiguous = get(row, "ambiguous")?;
    Ok(attempt)
}

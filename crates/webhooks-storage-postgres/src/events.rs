//! Listing events as they are kept.

use bytes::Bytes;
use tokio_postgres::Row;
use uuid::Uuid;
use webhooks_core::storage::{EventQuery, EventRecord, Page};
use webhooks_core::{EventId, Result};

use crate::columns::{get, get_time, get_u32, get_u64, long, named};
use crate::database::Database;
use crate::event_filter::EventFilters;
use crate::raw_json::RawJson;
use crate::row::{event, priority};

const STATES: &str = include_str!("sql/states_of_events.sql");

impl Database {
    pub(crate) async fn events(&self, query: &EventQuery) -> Result<Page<EventRecord, EventId>> {
        let mut filter = EventFilters::new(query);
        // In the form that the index has ids in.
        let id = match query.tenant {
            Some(_) => "uuid_send(e.id)",
            None => "e.id",
        };
        for (sign, bound) in [("<", query.before), (">", query.after)] {
            if let Some(bound) = bound {
                let n = filter.parameter(bound.as_uuid());
                let bound = id.replace("e.id", &format!("{n}::uuid"));
                filter.add_plain(format!("{id} {sign} {bound}"));
            }
        }
        let limit = filter.parameter(long(query.limit));
        let sql = format!(
            "SELECT e.id, e.created_at, e.due_at, e.max_retries, e.payload_bytes, e.priority, \
             e.event_type, e.tenant, e.ordering_key, e.traceparent, e.tracestate, \
             e.payload IS NULL AS is_erased, {payload} AS payload \
             FROM @.webhook_events e WHERE {conditions} ORDER BY {id} {order} LIMIT {limit}::bigint",
            payload = if query.with_payload {
                "e.payload"
            } else {
                "NULL::json"
            },
            conditions = filter.conditions(),
            order = if query.after.is_some() { "ASC" } else { "DESC" },
        );
        let rows = self
            .query("list events", &sql, &filter.parameters())
            .await?;
        let mut items = rows.iter().map(record).collect::<Result<Vec<_>>>()?;
        self.count_deliveries(&mut items).await?;
        let last = items.last().map(|record| record.event.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    async fn count_deliveries(&self, records: &mut [EventRecord]) -> Result<()> {
        let ids: Vec<Uuid> = records.iter().map(|r| r.event.id.as_uuid()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for row in self.query("list events", STATES, &[&ids]).await? {
            let id = EventId::from_uuid(get(&row, "event_id")?);
            let state = named("state", get(&row, "state")?)?;
            let count = get_u64(&row, "count")?;
            // A page has no event twice.
            if let Some(record) = records.iter_mut().find(|record| record.event.id == id) {
                record.deliveries.add(state, count);
            }
        }
        Ok(())
    }
}

fn record(row: &Row) -> Result<EventRecord> {
    let id = EventId::from_uuid(get(row, "id")?);
    let payload = get::<Option<RawJson>>(row, "payload")?.map_or_else(Bytes::new, |json| json.0);
    let mut record = EventRecord::new(event(row, id, payload)?.into());
    record.priority = priority(row)?;
    record.due_at = get_time(row, "due_at")?;
    record.max_retries = get_u32(row, "max_retries")?;
    record.payload_bytes = usize::try_from(get_u32(row, "payload_bytes")?).unwrap_or(0);
    record.payload_erased = get(row, "is_erased")?;
    Ok(record)
}

//! Events that are stored in parts. A part and where the next one begins are one transaction, so
//! that any node can go on where another one stopped.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewEvent, PartPlace};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{EventId, Result, Timestamp};

use crate::columns::{get, get_time, get_u32, long, time};
use crate::database::Database;
use crate::enqueue::{Columns, JOIN_ORDERS, answers, key_of};
use crate::error::{commit_error, storage_error};
use crate::event_filter::EventFilters;
use crate::raw_json::RawJson;
use crate::row::{event, priority};

const BEGIN: &str = include_str!("sql/begin_fan_out.sql");
const MOVE: &str = "UPDATE @.webhook_fan_outs SET up_to = greatest(up_to, $2::text), \
    moved_at = $3::timestamptz WHERE event_id = $1::uuid";
const DONE: &str = "DELETE FROM @.webhook_fan_outs WHERE event_id = $1::uuid";
const KEEP_MADE: &str = include_str!("sql/keep_made.sql");
const END: &str = include_str!("sql/end_fan_outs.sql");
const IDLE: &str = include_str!("sql/fan_outs.sql");
const WHAT: &str = "store a part of an event";

impl Database {
    /// Stores a part and where the next one goes on, in one transaction.
    pub(crate) async fn fan_out(
        &self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let is_first = part.place != PartPlace::Later;
        let event = NewEvent {
            // The first part has looked at it.
            idempotency_key: part.event.idempotency_key.clone().filter(|_| is_first),
            // A fan-out that has begun is of an event that is kept.
            keep: part.event.keep || part.up_to.is_some(),
            ..part.event.clone()
        };
        self.repeat(|| self.fan_out_once(part, &event, now)).await
    }

    async fn fan_out_once(
        &self,
        part: &FanOutPart,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let mut connection = self.connection().await?;
        let on = self.begin(&mut connection, WHAT).await?;
        let is_first = part.place != PartPlace::Later;
        // Before anything is stored: who erases its payload waits for this lock, or is waited for.
        if !is_first && !self.move_on(&on, part, now).await? {
            return Ok(None);
        }
        let events = std::slice::from_ref(event);
        let columns = Columns::of(events, now);
        let from_outbox = part.place == PartPlace::FirstOfOutbox;
        let (worker, at) = (None, time(now));
        let parameters = columns.parameters(&worker, &at, &from_outbox);
        let (endpoints, keys) = columns.orders();
        if !keys.is_empty() {
            self.run(&on, JOIN_ORDERS, &[&endpoints, &keys]).await?;
        }
        let rows = self.run(&on, &columns.statement(), &parameters).await?;
        let answer = answers(events, &rows)?.answers.pop().flatten();
        match &answer {
            None | Some(Enqueued::Duplicate { .. } | Enqueued::KeyReused) => {}
            Some(_) if is_first => self.begin_fan_out(&on, part, now).await?,
            Some(stored) => self.keep_made(&on, part, stored).await?,
        }
        let committed = on.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(answer)
    }

    async fn run(
        &self,
        on: &Transaction<'_>,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let error = |error| storage_error(WHAT, &error);
        let statement = on.prepare_cached(&self.sql(sql)).await.map_err(error)?;
        on.query(&statement, parameters).await.map_err(error)
    }

    async fn begin_fan_out(
        &self,
        on: &Transaction<'_>,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<()> {
        let (new, event) = (&part.event, &part.event.event);
        let Some(up_to) = part.up_to.as_deref() else {
            let id: &(dyn ToSql + Sync) = &event.id.as_uuid();
            return self.run(on, DONE, &[id]).await.map(drop);
        };
        let parameters: [&(dyn ToSql + Sync); 4] = [
            &event.id.as_uuid(),
            &new.idempotency_key.as_deref(),
            &time(now),
            &up_to,
        ];
        self.run(on, BEGIN, &parameters).await.map(drop)
    }

    /// Moves a fan-out on, or ends it; whether it is there.
    async fn move_on(
        &self,
        on: &Transaction<'_>,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<bool> {
        let error = |error| storage_error(WHAT, &error);
        let (id, now) = (part.event.event.id.as_uuid(), time(now));
        let up_to = part.up_to.as_deref();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&id];
        let mut sql = DONE;
        if let Some(up_to) = &up_to {
            parameters.extend([up_to as &(dyn ToSql + Sync), &now]);
            sql = MOVE;
        }
        let statement = on.prepare_cached(&self.sql(sql)).await.map_err(error)?;
        let moved = on.execute(&statement, &parameters);
        Ok(moved.await.map_err(error)? > 0)
    }

    /// Adds what a later part has made to what its idempotency key answers.
    async fn keep_made(
        &self,
        on: &Transaction<'_>,
        part: &FanOutPart,
        stored: &Enqueued,
    ) -> Result<()> {
        let (new, event) = (&part.event, &part.event.event);
        let (Some(key), Enqueued::Stored { missing, .. }) = (&new.idempotency_key, stored) else {
            return Ok(());
        };
        let made = new.deliveries.iter().filter(|d| !missing.contains(&d.id));
        let made: Vec<Uuid> = made.map(|d| d.id.as_uuid()).collect();
        let key = key_of(event.tenant.as_deref(), key);
        let parameters: [&(dyn ToSql + Sync); 3] = [&key, &event.id.as_uuid(), &made];
        self.run(on, KEEP_MADE, &parameters).await.map(drop)
    }

    pub(crate) async fn fan_outs(
        &self,
        idle_since: Timestamp,
        limit: usize,
    ) -> Result<Vec<FanOut>> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&time(idle_since), &long(limit)];
        let rows = self.query("read fan-outs", IDLE, &parameters).await?;
        rows.iter().map(fan_out).collect()
    }

    /// Ends the fan-outs of events whose deliveries are changed as a whole.
    pub(crate) async fn end_fan_outs(&self, query: &DeliveryQuery, to: Change) -> Result<()> {
        if !FanOut::may_end_with(query, to) {
            return Ok(());
        }
        let filter = EventFilters::of_deliveries(query);
        let sql = END.replace("{matches}", &filter.conditions());
        let parameters = filter.parameters();
        let ended = self.execute("end fan-outs", &sql, &parameters);
        ended.await.map(drop)
    }
}

fn fan_out(row: &Row) -> Result<FanOut> {
    let id = EventId::from_uuid(get(row, "event_id")?);
    let payload = get::<Option<RawJson>>(row, "payload")?.unwrap_or_default();
    Ok(FanOut {
        event: NewEvent {
            event: event(row, id, payload.0)?.into(),
            priority: priority(row)?,
            due_at: get_time(row, "due_at")?,
            max_retries: get_u32(row, "max_retries")?,
            idempotency_key: get::<Option<&str>>(row, "idempotency_key")?.map(Into::into),
            // The first part has compared it.
            fingerprint: None,
            keep: true,
            deliveries: Vec::new(),
        },
        up_to: get::<&str>(row, "up_to")?.into(),
    })
}

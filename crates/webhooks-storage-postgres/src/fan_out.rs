//! Events that are stored in parts. A part and where the next one begins are one transaction, so
//! that any node can go on where another one stopped.

use std::time::SystemTime;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewEvent, PartPlace};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{EventId, EventType, Priority, Result, Timestamp, WebhookEvent};

use crate::columns::{get, get_time, get_u32, int, long, time};
use crate::database::Database;
use crate::enqueue::{Columns, ENQUEUE, answers, key_of};
use crate::error::{commit_error, storage_error};
use crate::raw_json::RawJson;

const BEGIN: &str = include_str!("sql/begin_fan_out.sql");
const MOVE: &str = "UPDATE @.webhook_fan_outs SET up_to = greatest(up_to, $2::text), \
    moved_at = $3::timestamptz WHERE event_id = $1::uuid";
const DONE: &str = "DELETE FROM @.webhook_fan_outs WHERE event_id = $1::uuid";
const KEEP_MADE: &str = include_str!("sql/keep_made.sql");
const END: &str = include_str!("sql/end_fan_outs.sql");
const IDLE: &str = "SELECT * FROM @.webhook_fan_outs WHERE moved_at <= $1::timestamptz \
    ORDER BY event_id LIMIT $2::bigint";
const WHAT: &str = "store a part of an event";

impl Database {
    /// Stores a part and where the next one goes on, in one transaction.
    pub(crate) async fn fan_out(
        &self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let later = NewEvent {
            // The first part has looked at it.
            idempotency_key: None,
            ..part.event.clone()
        };
        self.repeat(|| self.fan_out_once(part, &later, now)).await
    }

    async fn fan_out_once(
        &self,
        part: &FanOutPart,
        later: &NewEvent,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let mut connection = self.connection().await?;
        let on = self.begin(&mut connection, WHAT).await?;
        let is_first = part.place != PartPlace::Later;
        // Before anything is stored: who erases its payload waits for this lock, or is waited for.
        if !is_first && !self.move_on(&on, part, now).await? {
            return Ok(None);
        }
        let event = if is_first { &part.event } else { later };
        let events = std::slice::from_ref(event);
        let columns = Columns::of(events, now);
        let from_outbox = part.place == PartPlace::FirstOfOutbox;
        let (worker, at) = (None, time(now));
        let parameters = columns.parameters(&worker, &at, &from_outbox);
        let rows = self.run(&on, ENQUEUE, &parameters).await?;
        let answer = answers(events, &rows)?.pop().flatten();
        match &answer {
            None | Some(Enqueued::Duplicate { .. }) => {}
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
        let parameters: [&(dyn ToSql + Sync); 11] = [
            &event.id.as_uuid(),
            &event.event_type.as_str(),
            &event.tenant.as_deref(),
            &new.idempotency_key.as_deref(),
            &i16::from(new.priority.level()),
            &int(new.max_retries),
            &time(event.created_at),
            &time(new.due_at),
            &RawJson(event.payload.clone()),
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
        let at = |at: Option<Timestamp>| -> Option<SystemTime> { at.map(time) };
        let parameters: [&(dyn ToSql + Sync); 6] = [
            &query.event_id.map(|id| id.as_uuid()),
            &query.event_type.as_deref(),
            &query.tenant.as_deref(),
            &at(query.from),
            &at(query.to),
            &at(query.updated_before),
        ];
        let ended = self.execute("end fan-outs", END, &parameters);
        ended.await.map(drop)
    }
}

fn fan_out(row: &Row) -> Result<FanOut> {
    let level = u8::try_from(get::<i16>(row, "priority")?).unwrap_or(0);
    Ok(FanOut {
        event: NewEvent {
            event: std::sync::Arc::new(WebhookEvent {
                id: EventId::from_uuid(get(row, "event_id")?),
                event_type: EventType::new(get(row, "event_type")?)?,
                tenant: get::<Option<&str>>(row, "tenant")?.map(Into::into),
                payload: get::<RawJson>(row, "payload")?.0,
                created_at: get_time(row, "created_at")?,
            }),
            priority: Priority::from_level(level),
            due_at: get_time(row, "due_at")?,
            max_retries: get_u32(row, "max_retries")?,
            idempotency_key: get::<Option<&str>>(row, "idempotency_key")?.map(Into::into),
            deliveries: Vec::new(),
        },
        up_to: get::<&str>(row, "up_to")?.into(),
    })
}

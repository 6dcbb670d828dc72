use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};
use webhooks_core::storage::spi::OUTBOX_REST;
use webhooks_core::storage::spi::OutboxEvent;
use webhooks_core::{
    EventId, EventType, Priority, Result, SendOptions, Timestamp, TraceContext, check_data,
    check_envelope_bytes,
};

use crate::columns::{get, get_time, int, long, time};
use crate::database::Database;
use crate::error::storage_error;
use crate::raw_json::RawJson;
use crate::row::trace;

/// One after the other, since the server has to read an event's data to tell its length: not more
/// of them than are wanted.
const READ: &str = include_str!("sql/read_outbox.sql");
const SET_ASIDE: &str = include_str!("sql/set_outbox_aside.sql");
const BRING_BACK: &str = include_str!("sql/bring_back_outbox.sql");
/// Events that one sweep brings back at most.
const MOST_BROUGHT_BACK: i64 = 256;
const SEND: &str = "SELECT @.webhook_send($1::text, $2::json, $3::text, $4::text, \
    $5::bigint * interval '1 millisecond', $6::text, $7::integer, $8::integer, $9::text, $10::text, \
    $11::text)";
/// The longest body of an event, in bytes, unless a send says otherwise.
const MAX_BYTES: u32 = 256 << 10;

/// Sends events inside a transaction of the caller: each exists if and only if that commits.
///
/// Only the event is stored; soon after the commit a node matches it to endpoints and delivers it.
pub struct Outbox<'a, C> {
    database: &'a Database,
    client: &'a C,
}

impl<'a, C: GenericClient + Sync> Outbox<'a, C> {
    pub(crate) const fn new(database: &'a Database, client: &'a C) -> Self {
        Self { database, client }
    }

    /// Sends an event with normal priority, at once, for no tenant.
    ///
    /// # Errors
    ///
    /// As [`OutboxSend::send`].
    pub async fn send(
        &self,
        event_type: &str,
        data: &(impl Serialize + Sync + ?Sized),
    ) -> Result<EventId> {
        self.webhook(event_type).send(data).await
    }

    /// Begins an event of this type.
    pub const fn webhook<'b>(&'b self, event_type: &'b str) -> OutboxSend<'b, C> {
        OutboxSend {
            outbox: self,
            options: SendOptions::new(event_type),
            max_bytes: MAX_BYTES,
        }
    }
}

impl<C> fmt::Debug for Outbox<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// One event on its way into the [`Outbox`].
#[must_use = "nothing is sent without `send`"]
pub struct OutboxSend<'a, C> {
    outbox: &'a Outbox<'a, C>,
    options: SendOptions<'a>,
    max_bytes: u32,
}

impl<'a, C: GenericClient + Sync> OutboxSend<'a, C> {
    /// For whom it is sent, 1 to 256 bytes without control characters. Defaults to nobody in particular.
    pub const fn tenant(mut self, tenant: &'a str) -> Self {
        self.options.tenant = Some(tenant);
        self
    }

    /// How urgent it is. Defaults to [`Priority::Normal`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// How long it waits before its first attempt, at most 30 days. Defaults to not at all.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = delay;
        self
    }

    /// The same key of the same tenant, of 1 to 256 bytes without control characters, is delivered
    /// only once within 24 h.
    pub const fn idempotency_key(mut self, key: &'a str) -> Self {
        self.options.idempotency_key = Some(key);
        self
    }

    /// Retries after the first attempt, at most 1,000. Defaults to those of the system that delivers it.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.options.max_retries = Some(retries);
        self
    }

    /// Events with the same key, of 1 to 256 bytes without control characters, arrive in the order in
    /// which they were stored, at endpoints that order by it.
    pub const fn ordering_key(mut self, key: &'a str) -> Self {
        self.options.ordering_key = Some(key);
        self
    }

    /// The trace in which it is sent.
    pub const fn trace(mut self, trace: &'a TraceContext) -> Self {
        self.options.trace = Some(trace);
        self
    }

    /// The longest body in bytes. Defaults to 256 KiB.
    pub const fn max_bytes(mut self, bytes: u32) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Stores the event; its id.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`](webhooks_core::WebhookError::InvalidEvent) for what is out of its bounds and
    /// [`SerializationError`](webhooks_core::WebhookError::SerializationError), with which the
    /// transaction may go on; and [`StorageError`](webhooks_core::WebhookError::StorageError), after
    /// which it can only be rolled back.
    pub async fn send(&self, data: &(impl Serialize + Sync + ?Sized)) -> Result<EventId> {
        let options = &self.options;
        options.validate()?;
        let data = RawJson(Bytes::from(serde_json::to_vec(data)?));
        // Before the transaction is spoilt by an error of the server.
        check_envelope_bytes(options.event_type, data.0.len(), self.max_bytes as usize)?;
        check_data(&data.0)?;
        let priority = options.priority.as_str();
        let row = self
            .outbox
            .client
            // Without a name, which a pooler might take away, and in one round trip.
            .query_typed_one(
                &self.outbox.database.sql(SEND),
                &[
                    (&options.event_type, Type::TEXT),
                    (&data, Type::JSON),
                    (&options.tenant, Type::TEXT),
                    (&priority, Type::TEXT),
                    (&long(options.delay.as_millis()), Type::INT8),
                    (&options.idempotency_key, Type::TEXT),
                    (&options.max_retries.map(int), Type::INT4),
                    (&int(self.max_bytes), Type::INT4),
                    (&options.ordering_key, Type::TEXT),
                    (&options.trace.map(TraceContext::parent), Type::TEXT),
                    (&options.trace.and_then(TraceContext::state), Type::TEXT),
                ],
            )
            .await
            .map_err(|error| storage_error("send inside a transaction", &error))?;
        let id = row.try_get::<_, &str>(0);
        id.map_err(|error| storage_error("read an event's id", &error))?
            .parse()
    }
}

impl<C> fmt::Debug for OutboxSend<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxSend")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Database {
    pub(crate) async fn read_outbox(&self, limit: usize, bytes: usize) -> Result<Vec<OutboxEvent>> {
        let params: [&(dyn ToSql + Sync); 2] = [&long(limit), &long(bytes)];
        let rows = self.query("read the outbox", READ, &params).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            match event(row) {
                Ok(event) => events.push(event),
                // What somebody else wrote there may be none.
                Err(error) => {
                    let id = EventId::from_uuid(get(row, "id")?);
                    tracing::error!(%error, event_id = %id, "an event of the outbox is set aside");
                    let now = get_time(row, "now")?;
                    self.set_outbox_aside(id, &error.to_string(), now).await?;
                }
            }
        }
        Ok(events)
    }

    pub(crate) async fn set_outbox_aside(
        &self,
        id: EventId,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let params: [&(dyn ToSql + Sync); 3] = [&id.as_uuid(), &reason, &time(now)];
        let moved = self.execute("set an event aside", SET_ASIDE, &params);
        Ok(moved.await? > 0)
    }

    /// Puts what was set aside ten minutes ago back into the outbox. An error here holds nobody up.
    pub(crate) async fn bring_back_outbox(&self, now: Timestamp) {
        let params: [&(dyn ToSql + Sync); 2] = [&time(now.before(OUTBOX_REST)), &MOST_BROUGHT_BACK];
        let back = self.execute("bring events back", BRING_BACK, &params);
        if let Err(error) = back.await {
            tracing::warn!(%error, "cannot put back into the outbox what was set aside");
        }
    }
}

fn event(row: &Row) -> Result<OutboxEvent> {
    let max_retries = get::<Option<i32>>(row, "max_retries")?;
    let priority = u8::try_from(get::<i16>(row, "priority")?).unwrap_or(0);
    Ok(OutboxEvent {
        id: EventId::from_uuid(get(row, "id")?),
        event_type: EventType::new(get(row, "event_type")?)?,
        tenant: get::<Option<&str>>(row, "tenant")?.map(Into::into),
        data: get::<RawJson>(row, "data")?.0,
        priority: Priority::from_level(priority),
        created_at: get_time(row, "created_at")?,
        due_at: get_time(row, "due_at")?,
        max_retries: max_retries.map(|n| u32::try_from(n).unwrap_or(0)),
        idempotency_key: get::<Option<&str>>(row, "idempotency_key")?.map(Into::into),
        ordering_key: get::<Option<&str>>(row, "ordering_key")?.map(Into::into),
        trace: trace(row)?,
    })
}

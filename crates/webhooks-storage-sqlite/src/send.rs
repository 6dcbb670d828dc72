use std::fmt;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use webhooks_core::{
    EventId, Priority, Result, SendOptions, TraceContext, WebhookError, check_data,
    check_envelope_bytes,
};

use crate::clock;
use crate::columns::long;
use crate::error::storage_error;

/// The longest body of an event, in bytes, unless a send says otherwise.
const MAX_BYTES: u32 = 256 << 10;
const SEND: &str = "INSERT INTO webhook_send (event, data, tenant, priority, delay_ms, \
    idempotency_key, max_retries, ordering_key, max_bytes, id, traceparent, tracestate) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Sends events inside a transaction of the caller: each exists if and only if that commits.
///
/// Takes a `rusqlite::Transaction`, or the connection that one was begun on, in the storage's own
/// file. Only the event is stored; soon after the commit a process matches it to endpoints and
/// delivers it. Begin such a transaction with `BEGIN IMMEDIATE`: one that reads first and writes then
/// may find that another has written in between, and fails.
pub struct Outbox<'a> {
    connection: &'a Connection,
}

impl<'a> Outbox<'a> {
    /// The outbox in this transaction.
    #[must_use]
    pub const fn new(transaction: &'a Connection) -> Self {
        Self {
            connection: transaction,
        }
    }

    /// Sends an event with normal priority, at once, for no tenant.
    ///
    /// # Errors
    ///
    /// As [`OutboxSend::send`].
    pub fn send(&self, event_type: &str, data: &(impl Serialize + ?Sized)) -> Result<EventId> {
        self.webhook(event_type).send(data)
    }

    /// Begins an event of this type.
    pub const fn webhook<'b>(&'b self, event_type: &'b str) -> OutboxSend<'b> {
        OutboxSend {
            connection: self.connection,
            options: SendOptions::new(event_type),
            max_bytes: MAX_BYTES,
        }
    }
}

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// One event on its way into the [`Outbox`].
#[must_use = "nothing is sent without `send`"]
pub struct OutboxSend<'a> {
    connection: &'a Connection,
    options: SendOptions<'a>,
    max_bytes: u32,
}

impl<'a> OutboxSend<'a> {
    /// For whom it is sent, 1 to 256 bytes without control characters. Defaults to nobody in
    /// particular.
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

    /// Endpoints that order by it get the events of one key one after another.
    pub const fn ordering_key(mut self, key: &'a str) -> Self {
        self.options.ordering_key = Some(key);
        self
    }

    /// Retries after the first attempt, at most 1,000. Defaults to those of the system that delivers
    /// it.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.options.max_retries = Some(retries);
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
    /// [`WebhookError::InvalidEvent`] for what is out of its bounds,
    /// [`WebhookError::SerializationError`], and [`WebhookError::StorageError`] when the database
    /// fails. After none of them is the event in the transaction.
    pub fn send(&self, data: &(impl Serialize + ?Sized)) -> Result<EventId> {
        let options = &self.options;
        options.validate()?;
        let data = serde_json::to_string(data)?;
        // The numbers are in its text, which one of the trigger cannot have.
        check_envelope_bytes(options.event_type, data.len(), self.max_bytes as usize)?;
        check_data(data.as_bytes())?;
        let id = EventId::new(clock::now());
        let mut statement = self.connection.prepare_cached(SEND).map_err(failed)?;
        let sent = statement.execute(params![
            options.event_type,
            data,
            options.tenant,
            options.priority.as_str(),
            long(options.delay.as_millis()),
            options.idempotency_key,
            options.max_retries,
            options.ordering_key,
            self.max_bytes,
            id.as_uuid().as_bytes().as_slice(),
            options.trace.map(TraceContext::parent),
            options.trace.and_then(TraceContext::state),
        ]);
        sent.map_err(failed)?;
        Ok(id)
    }
}

fn failed(error: rusqlite::Error) -> WebhookError {
    storage_error("send inside a transaction", &error).without_effect()
}

impl fmt::Debug for OutboxSend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxSend")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

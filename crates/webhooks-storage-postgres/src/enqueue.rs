//! Storing events with their deliveries, in one statement: all of a call, or nothing of it. Ids are
//! the sender's, so that a call that is made again stores nothing twice.

use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::spi::{Enqueued, IDEMPOTENCY_WINDOW, NewDelivery, NewEvent};
use webhooks_core::{DeliveryId, EventId, Result, Timestamp, WorkerId};

use crate::columns::{get, int, long, time, unknown};
use crate::database::Database;
use crate::raw_json::RawJson;

pub(crate) const ENQUEUE: &str = include_str!("sql/enqueue.sql");

/// What one call stores, column by column, in the order of the statement.
pub(crate) struct Columns<'a> {
    keys_expire_at: SystemTime,
    events: Events<'a>,
    deliveries: Deliveries<'a>,
    keyed_n: Vec<i32>,
    key: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Events<'a> {
    n: Vec<i32>,
    id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    tenant: Vec<Option<&'a str>>,
    payload: Vec<RawJson>,
    created_at: Vec<SystemTime>,
    priority: Vec<i16>,
    sort_key: Vec<i64>,
    due_at: Vec<SystemTime>,
    max_retries: Vec<i32>,
}

#[derive(Default)]
struct Deliveries<'a> {
    n: Vec<i32>,
    id: Vec<Uuid>,
    endpoint_id: Vec<&'a str>,
    incarnation: Vec<Option<i64>>,
    by_name: Vec<bool>,
    is_leased: Vec<bool>,
}

impl<'a> Events<'a> {
    fn push(&mut self, n: i32, new: &'a NewEvent) {
        let event = &new.event;
        self.n.push(n);
        self.id.push(event.id.as_uuid());
        self.event_type.push(&event.event_type);
        self.tenant.push(event.tenant.as_deref());
        self.payload.push(RawJson(event.payload.clone()));
        self.created_at.push(time(event.created_at));
        self.priority.push(new.priority.level().into());
        self.sort_key.push(new.priority.sort_key(event.created_at));
        self.due_at.push(time(new.due_at));
        self.max_retries.push(int(new.max_retries));
    }
}

impl<'a> Deliveries<'a> {
    fn push(&mut self, n: i32, new: &'a NewDelivery) {
        self.n.push(n);
        self.id.push(new.id.as_uuid());
        self.endpoint_id.push(&new.endpoint_id);
        self.incarnation.push(new.incarnation.map(long));
        self.by_name.push(new.by_name);
        self.is_leased.push(new.lease);
    }
}

impl<'a> Columns<'a> {
    pub(crate) fn of(events: &'a [NewEvent], now: Timestamp) -> Self {
        let mut columns = Self {
            keys_expire_at: time(now.after(IDEMPOTENCY_WINDOW)),
            events: Events::default(),
            deliveries: Deliveries::default(),
            keyed_n: Vec::new(),
            key: Vec::new(),
        };
        for (n, new) in (0..).zip(events) {
            columns.events.push(n, new);
            for delivery in &new.deliveries {
                columns.deliveries.push(n, delivery);
            }
            if let Some(key) = &new.idempotency_key {
                columns.keyed_n.push(n);
                columns.key.push(key_of(new.event.tenant.as_deref(), key));
            }
        }
        columns
    }

    /// As [`ENQUEUE`] takes them.
    #[rustfmt::skip]
    pub(crate) fn parameters<'p>(
        &'p self,
        worker: &'p Option<&'p str>,
        now: &'p SystemTime,
        from_outbox: &'p bool,
    ) -> [&'p (dyn ToSql + Sync); 22] {
        let (e, d) = (&self.events, &self.deliveries);
        [
            worker, now, from_outbox, &self.keys_expire_at,
            &e.n, &e.id, &e.event_type, &e.tenant, &e.payload, &e.created_at, &e.priority,
            &e.sort_key, &e.due_at, &e.max_retries,
            &d.n, &d.id, &d.endpoint_id, &d.incarnation, &d.by_name, &d.is_leased,
            &self.keyed_n, &self.key,
        ]
    }
}

/// The same key of two tenants is two keys, whatever the two texts are.
pub(crate) fn key_of(tenant: Option<&str>, key: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update([u8::from(tenant.is_some())]);
    let tenant = tenant.unwrap_or_default();
    hash.update(
        u64::try_from(tenant.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    hash.update(tenant);
    hash.update(key);
    hash.finalize().to_vec()
}

impl Database {
    /// Stores events. `None` for those of the outbox that another node has taken.
    pub(crate) async fn enqueue(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
        from_outbox: bool,
    ) -> Result<Vec<Option<Enqueued>>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let columns = Columns::of(events, now);
        let (worker, now) = (worker.map(WorkerId::as_str), time(now));
        let parameters = columns.parameters(&worker, &now, &from_outbox);
        answers(
            events,
            &self.query("enqueue events", ENQUEUE, &parameters).await?,
        )
    }
}

/// Everything was stored but for what the rows say.
pub(crate) fn answers(events: &[NewEvent], rows: &[Row]) -> Result<Vec<Option<Enqueued>>> {
    let mut missing = vec![Vec::new(); events.len()];
    let mut others = vec![None; events.len()];
    for row in rows {
        let n = usize::try_from(get::<i32>(row, "n")?).unwrap_or(usize::MAX);
        let id: Uuid = get(row, "id")?;
        let (Some(missing), Some(other)) = (missing.get_mut(n), others.get_mut(n)) else {
            return Err(unknown("n"));
        };
        match get::<&str>(row, "what")? {
            "missing" => missing.push(DeliveryId::from_uuid(id)),
            "duplicate" => {
                let ids: Vec<Uuid> = get(row, "ids")?;
                *other = Some(Some(Enqueued::Duplicate {
                    event_id: EventId::from_uuid(id),
                    delivery_ids: ids.into_iter().map(DeliveryId::from_uuid).collect(),
                }));
            }
            _ => *other = Some(None),
        }
    }
    let answers = events.iter().zip(missing).zip(others);
    Ok(answers
        .map(|((event, missing), other)| other.unwrap_or_else(|| Some(stored(event, missing))))
        .collect())
}

fn stored(event: &NewEvent, missing: Vec<DeliveryId>) -> Enqueued {
    if missing.len() == event.deliveries.len() {
        return Enqueued::NoEndpoint;
    }
    Enqueued::Stored {
        missing,
        dead: Vec::new(),
    }
}

/// The endpoints and sort keys of what may be claimed at `now`.
pub(crate) fn arriving(
    events: &[NewEvent],
    leasing: bool,
    now: Timestamp,
) -> impl Iterator<Item = (&Arc<str>, i64)> {
    let due = events.iter().filter(move |event| event.due_at <= now);
    due.flat_map(move |event| {
        let sort_key = event.priority.sort_key(event.event.created_at);
        let waiting = event
            .deliveries
            .iter()
            .filter(move |d| !(leasing && d.lease));
        waiting.map(move |d| (&d.endpoint_id, sort_key))
    })
}

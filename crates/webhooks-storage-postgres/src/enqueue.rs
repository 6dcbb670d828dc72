//! Storing events with their deliveries, in one statement: all of a call, or nothing of it. Ids are
//! the sender's, so that a call that is made again stores nothing twice.

use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::spi::{Commit, Enqueued, IDEMPOTENCY_WINDOW, NewDelivery, NewEvent};
use webhooks_core::{DeliveryId, EventId, OnDead, Result, Timestamp, TraceContext, WorkerId};

use crate::columns::{get, get_u64, int, long, time, unknown};
use crate::database::Database;
use crate::raw_json::RawJson;

const ENQUEUE: &str = include_str!("sql/enqueue.sql");
pub(crate) const JOIN_ORDERS: &str = include_str!("sql/join_orders.sql");

/// The part of the statement about orders, which only a call with some pays for.
const BLOCKED: &str = "w.order_key IS NOT NULL AND (row_number() OVER ( \
        PARTITION BY w.endpoint_id, w.incarnation, w.order_key ORDER BY w.p) > 1 \
    OR EXISTS (SELECT FROM @.webhook_queue q WHERE q.in_line AND q.endpoint_id = w.endpoint_id \
        AND q.order_key = w.order_key AND q.incarnation = w.incarnation))";
const DELIVERIES: &str = "unnest($21::bigint[], $22::uuid[], $23::text[], $24::bigint[], \
    $25::smallint[]) WITH ORDINALITY AS d (n, id, endpoint_id, incarnation, flags, p)";
const ORDERED_DELIVERIES: &str = "unnest($21::bigint[], $22::uuid[], $23::text[], $24::bigint[], \
    $25::smallint[], $26::text[]) WITH ORDINALITY \
    AS d (n, id, endpoint_id, incarnation, flags, order_key, p)";

/// What one call stores, column by column, in the order of the statement.
pub(crate) struct Columns<'a> {
    keys_expire_at: SystemTime,
    events: Events<'a>,
    deliveries: Deliveries<'a>,
}

#[derive(Default)]
struct Events<'a> {
    id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    tenant: Vec<Option<&'a str>>,
    payload: Vec<RawJson>,
    payload_bytes: Vec<i32>,
    created_at: Vec<SystemTime>,
    priority: Vec<i16>,
    sort_key: Vec<i64>,
    due_at: Vec<SystemTime>,
    max_retries: Vec<i32>,
    ordering_key: Vec<Option<&'a str>>,
    traceparent: Vec<Option<&'a str>>,
    tracestate: Vec<Option<&'a str>>,
    keep: Vec<bool>,
    key: Vec<Option<Vec<u8>>>,
    fingerprint: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct Deliveries<'a> {
    n: Vec<i64>,
    id: Vec<Uuid>,
    endpoint_id: Vec<&'a str>,
    incarnation: Vec<Option<i64>>,
    flags: Vec<i16>,
    order_key: Vec<Option<&'a str>>,
}

impl<'a> Events<'a> {
    fn push(&mut self, new: &'a NewEvent) {
        let event = &new.event;
        self.id.push(event.id.as_uuid());
        self.event_type.push(&event.event_type);
        self.tenant.push(event.tenant.as_deref());
        self.payload.push(RawJson(event.payload.clone()));
        let bytes = i32::try_from(event.payload.len());
        self.payload_bytes.push(bytes.unwrap_or(i32::MAX));
        self.created_at.push(time(event.created_at));
        self.priority.push(new.priority.level().into());
        self.sort_key.push(new.priority.sort_key(event.created_at));
        self.due_at.push(time(new.due_at));
        self.max_retries.push(int(new.max_retries));
        self.ordering_key.push(event.ordering_key.as_deref());
        let trace = event.trace.as_ref();
        self.traceparent.push(trace.map(TraceContext::parent));
        self.tracestate.push(trace.and_then(TraceContext::state));
        self.keep.push(new.keep);
        let key = new.idempotency_key.as_ref();
        self.key
            .push(key.map(|key| key_of(event.tenant.as_deref(), key)));
        let fingerprint = new.fingerprint.as_ref();
        self.fingerprint.push(fingerprint.map(|of| &of.0[..]));
    }
}

impl<'a> Deliveries<'a> {
    fn push(&mut self, n: i64, event: EventId, new: &'a NewDelivery) {
        self.n.push(n);
        self.id.push(new.id.as_uuid());
        self.endpoint_id.push(&new.endpoint_id);
        self.incarnation.push(new.incarnation.map(long));
        self.flags.push(flags(event, new));
        let order = new.order.as_ref();
        self.order_key.push(order.map(|order| &*order.key));
    }
}

/// What a delivery is, in bits, as the statements take it.
pub(crate) fn flags(event: EventId, new: &NewDelivery) -> i16 {
    let holds = (new.order.as_ref()).is_some_and(|order| order.on_dead == OnDead::Hold);
    i16::from(new.by_name)
        | i16::from(new.lease) << 1
        | i16::from(is_apart(event, new.id)) << 2
        | i16::from(holds) << 3
}

/// Whether the ids of an event and of a delivery of it begin with different milliseconds.
fn is_apart(event: EventId, delivery: DeliveryId) -> bool {
    event.as_uuid().as_u128() >> 80 != delivery.as_uuid().as_u128() >> 80
}

impl<'a> Columns<'a> {
    pub(crate) fn of(events: &'a [NewEvent], now: Timestamp) -> Self {
        let mut columns = Self {
            keys_expire_at: time(now.after(IDEMPOTENCY_WINDOW)),
            events: Events::default(),
            deliveries: Deliveries::default(),
        };
        for (n, new) in (1..).zip(events) {
            columns.events.push(new);
            for delivery in &new.deliveries {
                columns.deliveries.push(n, new.event.id, delivery);
            }
        }
        columns
    }

    /// The statement that takes them.
    pub(crate) fn statement(&self) -> String {
        let (deliveries, order_key, is_blocked) = match self.has_orders() {
            true => (ORDERED_DELIVERIES, "d.order_key", BLOCKED),
            false => (DELIVERIES, "NULL::text", "false"),
        };
        ENQUEUE
            .replace("{deliveries}", deliveries)
            .replace("{order_key}", order_key)
            .replace("{is_blocked}", is_blocked)
    }

    fn has_orders(&self) -> bool {
        self.deliveries.order_key.iter().any(Option::is_some)
    }

    /// The orders that are stored into: endpoints and keys.
    pub(crate) fn orders(&self) -> (Vec<&'a str>, Vec<&'a str>) {
        let d = &self.deliveries;
        let orders = d.endpoint_id.iter().zip(&d.order_key);
        orders.filter_map(|(id, key)| Some((*id, (*key)?))).unzip()
    }

    /// As [`statement`](Self::statement) takes them.
    #[rustfmt::skip]
    pub(crate) fn parameters<'p>(
        &'p self,
        worker: &'p Option<&'p str>,
        now: &'p SystemTime,
        from_outbox: &'p bool,
    ) -> Vec<&'p (dyn ToSql + Sync)> {
        let (e, d) = (&self.events, &self.deliveries);
        let mut parameters: Vec<&'p (dyn ToSql + Sync)> = vec![
            worker, now, from_outbox, &self.keys_expire_at,
            &e.id, &e.event_type, &e.tenant, &e.payload, &e.payload_bytes, &e.created_at, &e.priority,
            &e.sort_key, &e.due_at, &e.max_retries, &e.ordering_key, &e.traceparent, &e.tracestate,
            &e.keep, &e.key, &e.fingerprint,
            &d.n, &d.id, &d.endpoint_id, &d.incarnation, &d.flags,
        ];
        if self.has_orders() {
            parameters.push(&d.order_key);
        }
        parameters
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
    ) -> Result<Commit<Option<Enqueued>>> {
        let columns = Columns::of(events, now);
        let (worker, now) = (worker.map(WorkerId::as_str), time(now));
        let parameters = columns.parameters(&worker, &now, &from_outbox);
        let (endpoints, keys) = columns.orders();
        let lock: [&(dyn ToSql + Sync); 2] = [&endpoints, &keys];
        let before = (!keys.is_empty()).then_some((JOIN_ORDERS, &lock[..]));
        let sql = columns.statement();
        let what = "enqueue events";
        let rows = self.query_after(what, before, &sql, &parameters, None);
        answers(events, &rows.await?)
    }
}

/// Everything was stored but for what the rows say.
pub(crate) fn answers(events: &[NewEvent], rows: &[Row]) -> Result<Commit<Option<Enqueued>>> {
    let mut missing = vec![Vec::new(); events.len()];
    let mut others = vec![None; events.len()];
    let mut definitions = 0;
    for row in rows {
        let what = get::<&str>(row, "what")?;
        if what == "definitions" {
            definitions = get_u64(row, "definitions")?;
            continue;
        }
        let n = usize::try_from(get::<i64>(row, "n")? - 1).unwrap_or(usize::MAX);
        let id: Uuid = get(row, "id")?;
        let (Some(missing), Some(other)) = (missing.get_mut(n), others.get_mut(n)) else {
            return Err(unknown("n"));
        };
        match what {
            "missing" => missing.push(DeliveryId::from_uuid(id)),
            "reused" => *other = Some(Some(Enqueued::KeyReused)),
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
    let answers = answers
        .map(|((event, missing), other)| other.unwrap_or_else(|| Some(stored(event, missing))));
    Ok(Commit {
        answers: answers.collect(),
        definitions,
    })
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
            .filter(move |d| !(leasing && d.lease && d.order.is_none()));
        waiting.map(move |d| (&d.endpoint_id, sort_key))
    })
}

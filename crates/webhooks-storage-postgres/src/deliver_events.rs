//! Further deliveries of events that are kept.

use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery};
use webhooks_core::{DeliveryId, Priority, Result, Timestamp};

use crate::columns::{get, long, time};
use crate::database::Database;
use crate::enqueue::{JOIN_ORDERS, flags};
use crate::error::{commit_error, storage_error};

/// In one order each, so that no two calls wait for each other. Who makes a delivery of the same event
/// at the same time waits, and then finds this one.
const LOCK_ENDPOINTS: &str = "SELECT FROM @.webhook_endpoints WHERE id = ANY ($1::text[]) \
    ORDER BY id FOR KEY SHARE";
const LOCK_EVENTS: &str = "SELECT FROM @.webhook_events WHERE id = ANY ($1::uuid[]) \
    ORDER BY id FOR NO KEY UPDATE";
const DELIVER: &str = include_str!("sql/deliver_event.sql");
const WHAT: &str = "deliver events again";

impl Database {
    pub(crate) async fn deliver_events(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        if deliveries.is_empty() {
            return Ok(Vec::new());
        }
        self.repeat(|| self.deliver_events_once(deliveries, now))
            .await
    }

    async fn deliver_events_once(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        let mut connection = self.connection().await?;
        let deliver = self.prepare(&connection, WHAT, DELIVER).await?;
        let error = |error| storage_error(WHAT, &error);
        let on = self.begin(&mut connection, WHAT).await?;
        let (endpoints, events, orders) = named(deliveries);
        for (sql, parameters) in [
            (LOCK_ENDPOINTS, vec![&endpoints as &(dyn ToSql + Sync)]),
            (LOCK_EVENTS, vec![&events as _]),
            (JOIN_ORDERS, vec![&orders.0 as _, &orders.1 as _]),
        ] {
            let lock = on.prepare_cached(&self.sql(sql)).await.map_err(error)?;
            on.execute(&lock, &parameters).await.map_err(error)?;
        }
        let levels = Priority::Low.level()..=Priority::Critical.level();
        let sort_keys: Vec<i64> = levels
            .map(|level| Priority::from_level(level).sort_key(now))
            .collect();
        let now = time(now);
        let rows: Vec<_> = deliveries.iter().map(Parameters::of).collect();
        // One statement for each, all on their way before the first answer: each sees what those
        // before it have made.
        let made = rows.iter().map(|p| {
            let parameters: [&(dyn ToSql + Sync); 8] = [
                &p.event,
                &p.id,
                &p.endpoint,
                &p.incarnation,
                &p.flags,
                &p.order,
                &now,
                &sort_keys,
            ];
            let on = &on;
            let deliver = &deliver;
            async move { on.query_one(deliver, &parameters).await }
        });
        let rows = try_join_all(made).await.map_err(error)?;
        let committed = on.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        rows.iter().map(answer).collect()
    }
}

/// A delivery as the statement takes it.
struct Parameters<'a> {
    event: uuid::Uuid,
    id: uuid::Uuid,
    endpoint: &'a str,
    incarnation: Option<i64>,
    flags: i16,
    order: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn of(d: &'a EventDelivery) -> Self {
        Self {
            event: d.event_id.as_uuid(),
            id: d.delivery.id.as_uuid(),
            endpoint: &d.delivery.endpoint_id,
            incarnation: d.delivery.incarnation.map(long),
            flags: flags(d.event_id, &d.delivery),
            order: d.delivery.order.as_ref().map(|order| &*order.key),
        }
    }
}

type Named<'a> = (Vec<&'a str>, Vec<uuid::Uuid>, (Vec<&'a str>, Vec<&'a str>));

/// The endpoints, events and orders that are named.
fn named(deliveries: &[EventDelivery]) -> Named<'_> {
    let rows = || deliveries.iter().map(Parameters::of);
    let orders = rows().filter_map(|p| Some((p.endpoint, p.order?))).unzip();
    (
        rows().map(|p| p.endpoint).collect(),
        rows().map(|p| p.event).collect(),
        orders,
    )
}

fn answer(row: &tokio_postgres::Row) -> Result<DeliveredEvent> {
    Ok(match get::<&str>(row, "answer")? {
        "no_event" => DeliveredEvent::NoEvent,
        "erased" => DeliveredEvent::Erased,
        "missing" => DeliveredEvent::Missing,
        "exists" => DeliveredEvent::Exists(DeliveryId::from_uuid(get(row, "id")?)),
        _ => DeliveredEvent::Stored,
    })
}

//! Deliveries as Redis keeps them: texts whose fields are lines.

use uuid::Uuid;
use webhooks_core::storage::DeliveryRecord;
use webhooks_core::{
    DeliveryId, DeliveryOrder, DeliveryState, Lease, OnDead, Priority, Result, Timestamp,
    WebhookDelivery, WorkerId,
};

use crate::kept_events::{Events, name_line, read_name};
use crate::reply::{broken, named, number};

/// Fields of a delivery; `parse` in `common.lua` has all of them, in their order.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) state: &'a str,
    endpoint: &'a str,
    event: &'a str,
    priority: &'a str,
    due: &'a str,
    attempts: &'a str,
    max_retries: &'a str,
    crashes: &'a str,
    token: &'a str,
    reason: &'a str,
    updated: &'a str,
    erased: &'a str,
    incarnation: &'a str,
    by_name: &'a str,
    status: &'a str,
    failure: &'a str,
    order: &'a str,
    pub(crate) worker: &'a str,
}

impl<'a> Row<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self> {
        let mut lines = text.splitn(23, '\n');
        let mut line = || lines.next().ok_or_else(broken);
        Ok(Self {
            state: line()?,
            endpoint: line()?,
            event: line()?,
            priority: line()?,
            due: line()?,
            attempts: line()?,
            max_retries: line()?,
            crashes: line()?,
            token: line()?,
            reason: line()?,
            updated: line()?,
            erased: line()?,
            incarnation: line()?,
            by_name: line()?,
            status: line()?,
            failure: line()?,
            order: line()?,
            // Behind what only scripts need.
            worker: lines.nth(5).ok_or_else(broken)?,
        })
    }

    /// The delivery, leased to this worker if there is one.
    pub(crate) fn delivery(
        &self,
        id: Uuid,
        events: &Events,
        worker: Option<WorkerId>,
    ) -> Result<WebhookDelivery> {
        let token = number(self.token)?;
        let event_id = Uuid::try_parse(self.event).map_err(|_| broken())?;
        Ok(WebhookDelivery {
            id: DeliveryId::from_uuid(id),
            endpoint_id: self.endpoint.into(),
            incarnation: number(self.incarnation)?,
            by_name: self.by_name == "1",
            order: read_order(self.order)?,
            event: events.get(event_id)?,
            priority: Priority::from_level(number(self.priority)?),
            due_at: number(self.due).map(Timestamp::from_millis)?,
            attempts: number(self.attempts)?,
            max_retries: number(self.max_retries)?,
            crashes: number(self.crashes)?,
            lease: worker.map(|worker| Lease { worker, token }),
            endpoint: None,
        })
    }

    /// The delivery as it is listed, without its attempts.
    pub(crate) fn record(&self, id: Uuid, events: &Events) -> Result<DeliveryRecord> {
        let state: DeliveryState = named(self.state)?;
        let worker = (state == DeliveryState::Leased).then(|| WorkerId::named(self.worker));
        let delivery = self.delivery(id, events, worker)?;
        let updated = number(self.updated).map(Timestamp::from_millis)?;
        let mut record = DeliveryRecord::new(delivery, state, updated);
        match state {
            DeliveryState::Dead if !self.reason.is_empty() => {
                record.dead_reason = Some(named(self.reason)?);
            }
            DeliveryState::Cancelled => record.cancel_reason = self.reason.parse().ok(),
            _ => {}
        }
        if !self.status.is_empty() {
            record.last_status = Some(number(self.status)?);
        }
        if !self.failure.is_empty() {
            record.last_failure = Some(named(self.failure)?);
        }
        Ok(record)
    }

    pub(crate) const fn is_erased(&self) -> bool {
        !self.erased.is_empty()
    }
}

/// An order as a delivery holds it: a letter that says whether it holds what is behind it, and the key;
/// empty for none.
pub(crate) fn order_line(order: Option<&DeliveryOrder>) -> String {
    let line = |order: &DeliveryOrder| {
        let holds = order.on_dead == OnDead::Hold;
        format!("{}{}", if holds { 'h' } else { 'c' }, name_line(&order.key))
    };
    order.map(line).unwrap_or_default()
}

/// The order in a line that [`order_line`] wrote.
fn read_order(line: &str) -> Result<Option<DeliveryOrder>> {
    let (on_dead, key) = match (line.strip_prefix('h'), line.strip_prefix('c')) {
        (Some(key), _) => (OnDead::Hold, key),
        (_, Some(key)) => (OnDead::Continue, key),
        _ => return Ok(None),
    };
    let key = read_name(key)?.ok_or_else(broken)?;
    Ok(Some(DeliveryOrder { key, on_dead }))
}

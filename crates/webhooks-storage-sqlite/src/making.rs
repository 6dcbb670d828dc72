//! Making one delivery, from a new event or from one that is kept.

use webhooks_core::storage::spi::NewDelivery;
use webhooks_core::{DeliveryState, OnDead, Priority, Timestamp};

use crate::error::Result;
use crate::known_endpoint::KnownEndpoint;
use crate::places::waiting_state;
use crate::row::Row;
use crate::state::State;

/// A delivery that is to be made, of which everything was found.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) delivery: &'a NewDelivery,
    pub(crate) event: i64,
    pub(crate) endpoint: KnownEndpoint,
    /// Who leases it at once, if anybody does.
    pub(crate) worker: Option<i64>,
    pub(crate) priority: Priority,
    pub(crate) max_retries: u32,
    pub(crate) sent_at: Timestamp,
    pub(crate) due_at: Timestamp,
}

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM webhook_queue WHERE id = ?1)";

impl State {
    /// Whether there is a delivery with this id.
    pub(crate) fn has_row(&self, delivery: &NewDelivery) -> Result<bool> {
        self.value(EXISTS, [delivery.id.as_uuid().as_bytes().as_slice()])
    }

    /// Makes a delivery, of which there is none with its id.
    pub(crate) fn make(&mut self, making: &Making<'_>, now: Timestamp) -> Result<()> {
        let (delivery, endpoint) = (making.delivery, making.endpoint);
        let order = delivery.order.as_ref();
        let is_behind = match order {
            Some(order) => self.has_line(endpoint.seq, endpoint.incarnation, &order.key)?,
            None => false,
        };
        let worker = making.worker.filter(|_| order.is_none());
        let state = match worker {
            _ if is_behind => DeliveryState::Blocked,
            Some(_) => DeliveryState::Leased,
            None => waiting_state(making.due_at, now),
        };
        let seq = self.next(|numbers| &mut numbers.place)?;
        self.insert(&Row {
            seq,
            id: delivery.id,
            event: making.event,
            endpoint: endpoint.seq,
            incarnation: endpoint.incarnation,
            state,
            priority: making.priority,
            place: seq,
            sent_at: making.sent_at,
            due_at: making.due_at,
            updated_at: now,
            // Tokens start at 1 with the first lease; a row that was never leased has 0.
            token: i64::from(worker.is_some()),
            attempts: 0,
            max_retries: making.max_retries,
            crashes: 0,
            worker,
            dead_reason: None,
            cancel_reason: None,
            by_name: delivery.by_name,
            last_status: None,
            last_failure: None,
            order_key: order.map(|order| order.key.clone()),
            on_dead: order.map_or(OnDead::Continue, |order| order.on_dead),
            in_line: order.is_some(),
            erased: false,
        })
    }
}

//! Making one delivery, from a new event or from one that is kept.

use std::collections::btree_map::Entry;

use webhooks_core::storage::spi::NewDelivery;
use webhooks_core::{DeadReason, DeliveryState, OnDead, Priority, Timestamp};

use crate::places::waiting_state;
use crate::row::{NO_ORDER, Row};
use crate::state::State;

/// A delivery that is to be made, of which everything was found.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) delivery: &'a NewDelivery,
    pub(crate) event: u32,
    pub(crate) endpoint: u32,
    /// Who leases it at once, if anybody does.
    pub(crate) worker: Option<u32>,
    pub(crate) priority: Priority,
    pub(crate) sent_at: Timestamp,
    pub(crate) due_at: Timestamp,
}

impl State {
    /// Makes a delivery. The state it is in, unless there was one with its id.
    ///
    /// The id decides, not the content: a call that is sent twice, since its first answer was lost,
    /// stores nothing more.
    pub(crate) fn make(&mut self, making: &Making<'_>, now: Timestamp) -> Option<DeliveryState> {
        let delivery = making.delivery;
        let Entry::Vacant(place) = self.by_id.entry(delivery.id) else {
            return None;
        };
        // One search instead of two. The row gets this handle, as no other one is made before.
        place.insert(self.rows.next_handle());
        let of_order = |order| self.order_of(making.endpoint, order);
        let order = delivery.order.as_ref().map(of_order);
        let worker = making.worker.filter(|_| order.is_none());
        let state = self.state_of(making, order, worker, now);
        self.next_seq += 1;
        let row = Row {
            id: delivery.id,
            sent_at: making.sent_at,
            due_at: making.due_at,
            updated_at: now,
            seq: self.next_seq,
            // Tokens start at 1 with the first lease; a row that was never leased has 0.
            token: u64::from(state == DeliveryState::Leased),
            event: making.event,
            endpoint: making.endpoint,
            worker: worker.unwrap_or_default(),
            order: order.unwrap_or(NO_ORDER),
            attempts: 0,
            incarnation: self.endpoints.at(making.endpoint).incarnation,
            last_status: None,
            last_failure: None,
            by_name: delivery.by_name,
            crashes: 0,
            priority: making.priority,
            state,
            dead_reason: (state == DeliveryState::Dead).then_some(DeadReason::BacklogFull),
            cancel_reason: None,
            on_dead: (delivery.order.as_ref()).map_or(OnDead::default(), |order| order.on_dead),
            erased: false,
        };
        self.insert(row, now);
        Some(state)
    }

    /// The state in which a delivery begins.
    ///
    /// One over the endpoint's bound is not refused but buried at once: the other endpoints of the
    /// event get theirs, and the operator finds what is missing among the dead letters.
    fn state_of(
        &self,
        making: &Making<'_>,
        order: Option<u32>,
        worker: Option<u32>,
        now: Timestamp,
    ) -> DeliveryState {
        // A full backlog goes before a lease: the bound counts leased rows too.
        if self.is_full(making.endpoint) {
            return DeliveryState::Dead;
        }
        if order.is_some_and(|order| self.has_line(order)) {
            return DeliveryState::Blocked;
        }
        match worker {
            Some(_) => DeliveryState::Leased,
            None => waiting_state(making.due_at, now),
        }
    }

    /// Whether the endpoint has as many waiting deliveries as it may have.
    pub(crate) fn is_full(&self, endpoint: u32) -> bool {
        let waiting = self.endpoints.at(endpoint).counts.waiting();
        usize::try_from(waiting).is_ok_and(|n| n >= self.limits.waiting_per_endpoint)
    }
}

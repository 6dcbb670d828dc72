//! Orders: which deliveries of an endpoint go one after another.
//!
//! A row stands in the line of its order from when it is made until it has ended. The first of a
//! line, its head, is ready, scheduled or leased; all behind it are blocked, and in no queue that a
//! claim looks at. So a claim costs the same however many wait, and the end of a head costs one step
//! into the line behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use webhooks_core::{DeadReason, DeliveryOrder, DeliveryState, OnDead, Timestamp};

use crate::order::Order;
use crate::row::Row;
use crate::state::State;

impl State {
    /// The order in which a new row of this endpoint stands, which is made if there is none.
    pub(crate) fn order_of(&mut self, endpoint: u32, order: &DeliveryOrder) -> u32 {
        let incarnation = self.endpoints.at(endpoint).incarnation;
        let key = (endpoint, incarnation, Arc::clone(&order.key));
        if let Some(known) = self.order_handles.get(&key) {
            return *known;
        }
        let new = self.orders.insert(Order {
            key: key.clone(),
            line: BTreeMap::new(),
            rows: 0,
        });
        self.order_handles.insert(key, new);
        new
    }

    /// Whether somebody stands in the line of this order.
    pub(crate) fn has_line(&self, order: u32) -> bool {
        !self.orders.at(order).line.is_empty()
    }

    /// Whether a row died in such a way that those behind it in its order wait for it.
    ///
    /// What died of a full backlog never stood in the order; what expired would hold it for ever in
    /// a queue that nobody looks after; and what was erased can never be replayed.
    pub(crate) fn holds_order(&self, row: &Row) -> bool {
        let reason = row.dead_reason;
        let is_own = reason != Some(DeadReason::BacklogFull) && reason != Some(DeadReason::Expired);
        let is_held = row.state == DeliveryState::Dead && row.on_dead == OnDead::Hold && is_own;
        is_held && !self.is_erased(row)
    }

    /// Puts a row at the end of the line of its order, if it has one: its number is the largest.
    pub(crate) fn join_line(&mut self, handle: u32) {
        let row = self.rows.at(handle);
        if let Some(order) = row.order() {
            self.orders.at_mut(order).line.insert(row.seq, handle);
        }
    }

    /// Takes a row out of the line of its order, if it stands in one, and lets the next one go.
    ///
    /// In the same change as what ended the row: no order is ever without a head.
    pub(crate) fn leave_line(&mut self, handle: u32, now: Timestamp) {
        let row = self.rows.at(handle);
        let Some(order) = row.order() else {
            return;
        };
        let line = &mut self.orders.at_mut(order).line;
        line.remove(&row.seq);
        let Some(&head) = line.first_key_value().map(|(_, handle)| handle) else {
            return;
        };
        // Another row than the head has left if the head is not blocked.
        let row = self.rows.at(head);
        if row.state == DeliveryState::Blocked {
            self.wait_until(head, row.due_at, now);
        }
    }

    /// Forgets that a row bore this order, and the order with the last of its rows.
    pub(crate) fn drop_from_order(&mut self, order: u32) {
        let entry = self.orders.at_mut(order);
        entry.rows -= 1;
        if entry.rows == 0 {
            let entry = self.orders.remove(order);
            self.order_handles.remove(&entry.key);
        }
    }
}

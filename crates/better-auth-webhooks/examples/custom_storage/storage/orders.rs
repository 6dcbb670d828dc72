use std::collections::HashMap;

use better_auth_webhooks::{DeliveryState, Timestamp};

use super::lists::Lists;
use super::row::Row;

/// What goes one after another.
impl Lists {
    /// Puts a row behind all others of its order.
    ///
    /// The places of all orders are numbered in one row, which is enough to tell who came first.
    pub(crate) fn take_place(&mut self, at: usize) {
        self.places += 1;
        let place = self.places;
        if let Some(row) = self.rows.get_mut(at) {
            row.place = place;
            if row.record.delivery.order.is_some() {
                row.record.state = DeliveryState::Blocked;
            }
        }
    }

    /// Lets the first of each order go, if nothing before it is left. The last step of every call
    /// that changes something: whatever ended a head, the next one follows in the same change.
    pub(crate) fn let_heads_go(&mut self, now: Timestamp) {
        let mut heads = HashMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            let delivery = &row.record.delivery;
            if let Some(order) = delivery.order.as_ref().filter(|_| stands(row)) {
                let incarnation = delivery.incarnation;
                let key = (delivery.endpoint_id.clone(), incarnation, order.key.clone());
                let head = heads.entry(key).or_insert((row.place, at));
                *head = (*head).min((row.place, at));
            }
        }
        for (_, at) in heads.into_values() {
            let head = self.rows.get_mut(at);
            if let Some(row) = head.filter(|row| row.record.state == DeliveryState::Blocked) {
                row.wait_until(row.record.delivery.due_at, now);
            }
        }
    }
}

fn stands(row: &Row) -> bool {
    !row.record.state.is_ended() || row.holds_order()
}

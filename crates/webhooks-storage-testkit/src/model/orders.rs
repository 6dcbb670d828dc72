use webhooks_core::{DeadReason, DeliveryState, OnDead};

use super::{Model, ModelRow};

impl ModelRow {
    /// Whether those behind it in its order, if it has one, wait for it.
    pub(super) fn stands_before_others(&self) -> bool {
        let holds = (self.order.as_ref()).is_some_and(|order| order.on_dead == OnDead::Hold);
        match self.state {
            DeliveryState::Ready | DeliveryState::Leased => true,
            // What was never its turn, or is too old for anybody to look after, holds nobody.
            DeliveryState::Dead if holds && !self.erased => !matches!(
                self.dead_reason,
                Some(DeadReason::Expired | DeadReason::BacklogFull)
            ),
            _ => false,
        }
    }

    /// Whether both stand in one order.
    pub(crate) fn is_in_order_with(&self, other: &Self) -> bool {
        let key = |row: &Self| row.order.as_ref().map(|order| order.key.clone());
        self.order.is_some()
            && key(self) == key(other)
            && (&self.endpoint, self.incarnation) == (&other.endpoint, other.incarnation)
    }
}

impl Model {
    /// Whether it waits for one before it in its order.
    pub(crate) fn is_blocked(&self, row: &ModelRow) -> bool {
        row.state == DeliveryState::Ready
            && self.rows.iter().any(|other| {
                other.place < row.place
                    && other.is_in_order_with(row)
                    && other.stands_before_others()
            })
    }

    /// A place behind all others, with room for one of those that share it to go first.
    pub(super) fn next_place(&mut self) -> u64 {
        self.places += 2;
        self.places
    }

    /// Of those that share a place, puts the ones first that the storage lets go: which of them it
    /// replayed first is its own choice.
    pub(crate) fn settle_places(&mut self, goes: impl Fn(&ModelRow) -> bool) {
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            let shares = |other: &ModelRow| {
                other.id != row.id
                    && other.state == DeliveryState::Ready
                    && other.place == row.place
                    && other.is_in_order_with(row)
            };
            if row.state == DeliveryState::Ready && self.rows.iter().any(shares) && goes(row) {
                self.rows[at].place -= 1;
            }
        }
    }
}

use webhooks_core::storage::{Change, Retention};
use webhooks_core::{CancelReason, DeadReason, DeliveryState, Timestamp};

use super::Model;

impl Model {
    /// Changes the deliveries of an endpoint, or all of them and whole events.
    pub(crate) fn change(&mut self, endpoint: Option<&str>, to: Change, now: Timestamp) -> usize {
        let (mut changed, place) = (0, self.next_place());
        for row in (0..self.rows.len()).rev() {
            let current = &self.rows[row];
            if endpoint.is_some_and(|id| id != current.endpoint) {
                continue;
            }
            let (state, can_wait) = (current.state, self.stranded(row).is_none());
            match to {
                Change::Replay if state == DeliveryState::Dead && can_wait => {
                    self.send_again(row, place, now);
                }
                Change::Resend if state.is_ended() && can_wait => {
                    self.send_again(row, place, now);
                }
                Change::Cancel if state == DeliveryState::Ready => {
                    self.cancel(row, CancelReason::ByHand, now);
                }
                Change::Purge if state.is_ended() => {
                    if state == DeliveryState::Dead {
                        self.totals.dead -= 1;
                        self.totals.purged += 1;
                    }
                    self.rows.remove(row);
                }
                Change::Erase if !self.rows[row].erased => self.erase(row, now),
                _ => continue,
            }
            changed += 1;
        }
        if to == Change::Erase && endpoint.is_none() {
            self.events.iter_mut().for_each(|event| event.erased = true);
        }
        changed
    }

    /// A new series of one that has ended, at the end of its order unless it is what holds that.
    fn send_again(&mut self, row: usize, place: u64, now: Timestamp) {
        let row = &mut self.rows[row];
        match row.state {
            DeliveryState::Dead => self.totals.dead -= 1,
            DeliveryState::Delivered => self.totals.delivered -= 1,
            _ => self.totals.cancelled -= 1,
        }
        if !row.stands_before_others() {
            row.place = place;
        }
        row.state = DeliveryState::Ready;
        (row.attempts, row.crashes, row.last) = (0, 0, (None, None));
        (row.dead_reason, row.cancel_reason) = (None, None);
        (row.due_at, row.sent_at, row.updated_at) = (now, now, now);
        row.sort_key = row.priority.sort_key(now);
    }

    fn erase(&mut self, row: usize, now: Timestamp) {
        let erased = &mut self.rows[row];
        erased.erased = true;
        let (id, waits) = (erased.event, erased.state == DeliveryState::Ready);
        if waits {
            self.cancel(row, CancelReason::Erased, now);
        }
        // With the last delivery that has the payload goes that of the event.
        if !self.rows.iter().any(|row| row.event == id && !row.erased) {
            let mut events = self.events.iter_mut();
            if let Some(event) = events.find(|event| event.id() == id) {
                event.erased = true;
            }
        }
    }

    pub(crate) fn sweep(&mut self, retention: &Retention, now: Timestamp) {
        for row in 0..self.rows.len() {
            let waits = &self.rows[row];
            let since = waits.sent_at.max(waits.due_at);
            if waits.state == DeliveryState::Ready && now.since(since) >= retention.waiting {
                self.bury(row, DeadReason::Expired, now);
            }
        }
        self.rows.retain(|row| {
            let age = now.since(row.updated_at);
            match row.state {
                DeliveryState::Delivered | DeliveryState::Cancelled => age < retention.delivered,
                DeliveryState::Dead => age < retention.dead,
                _ => true,
            }
        });
        let rows = &self.rows;
        self.events.retain(|event| {
            let is_young = now.since(event.sent.created_at) < retention.events;
            is_young || rows.iter().any(|row| row.event == event.id())
        });
    }
}

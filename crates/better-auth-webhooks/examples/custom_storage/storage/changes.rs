use std::sync::Arc;

use better_auth_webhooks::storage::spi::FanOut;
use better_auth_webhooks::storage::{Change, Changed, DeliveryQuery, Retention};
use better_auth_webhooks::{
    CancelReason, DeadReason, DeliveryState, EventId, Timestamp, WebhookEvent,
};

use super::lists::Lists;
use super::row::Row;

/// What is changed by hand and by age.
impl Lists {
    pub(crate) fn change(
        &mut self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Changed {
        self.fan_outs
            .retain(|(fan_out, _)| !FanOut::ends_with(&fan_out.event, query, to));
        let (mut changed, mut last) = (0, None);
        for id in self.matching(query).into_iter().map(|row| row.delivery.id) {
            if changed == limit {
                return Changed::new(changed, last);
            }
            last = Some(id);
            let mut rows = self.rows.iter();
            let at = rows.position(|row| row.record.delivery.id == id);
            changed += usize::from(at.is_some_and(|at| self.change_one(at, to, now)));
        }
        if to == Change::Erase && query.is_of_events() {
            let events = self.events.iter();
            let meant = events.filter(|known| query.is_of_event(&known.event));
            for id in meant.map(|known| known.event.id).collect::<Vec<_>>() {
                self.erase_event(id, now);
            }
        }
        Changed::new(changed, None)
    }

    /// Whether the change applied.
    fn change_one(&mut self, at: usize, to: Change, now: Timestamp) -> bool {
        let can_wait = self.stranded(at).is_none();
        let Some(row) = self.rows.get(at) else {
            return false;
        };
        let state = row.record.state;
        match to {
            Change::Replay if state == DeliveryState::Dead && can_wait => self.send_again(at, now),
            Change::Resend if state.is_ended() && can_wait => self.send_again(at, now),
            Change::Cancel if row.is_idle() => self.cancel(at, CancelReason::ByHand, now),
            Change::Purge if state.is_ended() => self.purge(at),
            Change::Erase if !row.is_erased() => self.erase(at, now),
            _ => return false,
        }
        true
    }

    fn send_again(&mut self, at: usize, now: Timestamp) {
        if let Some(total) = self.total_of(at) {
            *total -= 1;
        }
        let Some(row) = self.rows.get_mut(at) else {
            return;
        };
        let holds = row.holds_order();
        row.begin_anew(now);
        if !holds {
            self.take_place(at);
        }
    }

    fn purge(&mut self, at: usize) {
        let row = self.rows.remove(at);
        if row.record.state == DeliveryState::Dead {
            let total = self.total(&row.record.delivery.endpoint_id);
            total.dead -= 1;
            total.purged += 1;
        }
    }

    /// Drops the payload of a delivery, and with the last one of its event also that.
    fn erase(&mut self, at: usize, now: Timestamp) {
        let Some(row) = self.rows.get_mut(at) else {
            return;
        };
        let event = &mut row.record.delivery.event;
        let id = event.id;
        *event = without_payload(event);
        if row.is_idle() {
            self.cancel(at, CancelReason::Erased, now);
        }
        let mut fan_outs = self.fan_outs.iter();
        let has_more = fan_outs.any(|(fan_out, _)| fan_out.event.event.id == id);
        let mut rows = self.rows.iter().filter(|row| is_of_event(row, id));
        if rows.all(Row::is_erased) && !has_more {
            self.erase_event(id, now);
        }
    }

    fn erase_event(&mut self, id: EventId, now: Timestamp) {
        if let Some(known) = self.events.iter_mut().find(|known| known.event.id == id) {
            known.event = without_payload(&known.event);
            (known.payload_bytes, known.payload_erased) = (0, true);
        }
        for at in self.places_of(|row| is_of_event(row, id) && !row.is_erased()) {
            self.erase(at, now);
        }
    }

    pub(crate) fn sweep(&mut self, keep: &Retention, limit: usize, now: Timestamp) -> usize {
        let old = |since: Timestamp, keep| now.since(since) >= keep;
        let mut left = limit;
        // Whether one goes that is old enough: as long as the limit is not met.
        let mut goes = |is_old: bool| {
            let goes = is_old && left > 0;
            left -= usize::from(goes);
            goes
        };
        let since = |row: &Row| row.sent_at.max(row.record.delivery.due_at);
        for at in self.places_of(|row| row.is_idle() && old(since(row), keep.waiting)) {
            if goes(true) {
                self.bury(at, DeadReason::Expired, now);
            }
        }
        self.rows.retain(|row| {
            let updated_at = row.record.updated_at;
            !goes(match row.record.state {
                DeliveryState::Dead => old(updated_at, keep.dead),
                state => state.is_ended() && old(updated_at, keep.delivered),
            })
        });
        self.log
            .retain(|line| !goes(old(line.started_at, keep.log)));
        let (rows, fan_outs) = (&self.rows, &self.fan_outs);
        self.events.retain(|known| {
            let id = known.event.id;
            let is_needed = rows.iter().any(|row| is_of_event(row, id))
                || fan_outs.iter().any(|(f, _)| f.event.event.id == id);
            !goes(!is_needed && old(known.event.created_at, keep.events))
        });
        limit - left
    }
}

fn is_of_event(row: &Row, id: EventId) -> bool {
    row.record.delivery.event.id == id
}

fn without_payload(event: &WebhookEvent) -> Arc<WebhookEvent> {
    Arc::new(WebhookEvent {
        payload: Default::default(),
        ..event.clone()
    })
}

//! Events for more endpoints than one call stores. The storage keeps how far each has come, so that
//! another node can go on if the sender dies in the middle.

use std::sync::Arc;

use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewEvent, PartPlace};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{EventId, Result, Timestamp};

use crate::state::State;
use crate::unfinished::Unfinished;

impl State {
    /// Stores one part, and with it where the next one goes on. `None` if there is no such fan-out
    /// to go on with.
    pub(crate) fn fan_out(
        &mut self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let id = part.event.event.id;
        // The first part begins a fan-out, and made a second time finds its deliveries stored.
        match part.place {
            PartPlace::First => {}
            // Ended by a change or done by another node: storing what is left would undo an
            // erasure.
            PartPlace::Later if self.fan_outs.contains_key(&id) => {}
            // There is no outbox here.
            PartPlace::Later | PartPlace::FirstOfOutbox => return Ok(None),
        }
        let events = std::slice::from_ref(&part.event);
        // Without a worker: parts are large, and are claimed as any other backlog. The `?` leaves
        // everything as it was, so that the part is simply made again.
        let answer = self.enqueue(events, None, now)?.answers.pop();
        let is_refused =
            |a: &Enqueued| matches!(a, Enqueued::Duplicate { .. } | Enqueued::KeyReused);
        if answer.as_ref().is_some_and(is_refused) {
            return Ok(answer);
        }
        match part.up_to.clone() {
            Some(up_to) => self.go_on_behind(part, up_to, now),
            // The last part forgets the fan-out in the same step, so that nobody begins it anew.
            None => self.forget_fan_out(id),
        }
        Ok(answer)
    }

    /// Notes where the next part goes on.
    fn go_on_behind(&mut self, part: &FanOutPart, up_to: Arc<str>, now: Timestamp) {
        let id = part.event.event.id;
        let unfinished = self.fan_outs.entry(id).or_insert_with(|| Unfinished {
            fan_out: FanOut {
                // Kept whole but for its deliveries: whoever goes on matches the endpoints itself.
                event: NewEvent {
                    deliveries: Vec::new(),
                    ..part.event.clone()
                },
                up_to: Arc::clone(&up_to),
            },
            moved_at: now,
        });
        unfinished.moved_at = now;
        // Two nodes may be at it: it never goes back.
        if unfinished.fan_out.up_to < up_to {
            unfinished.fan_out.up_to = up_to;
        }
        // Kept though no delivery may have been made so far.
        let (event, _) = self.event_of(&part.event);
        self.note_bare(event);
    }

    fn forget_fan_out(&mut self, id: EventId) {
        self.fan_outs.remove(&id);
        if let Some(event) = self.events_by_id.get(&id) {
            self.note_bare(*event);
        }
    }

    pub(crate) fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Vec<FanOut> {
        let idle = self.fan_outs.values().filter(|f| f.moved_at <= idle_since);
        idle.take(limit).map(|f| f.fan_out.clone()).collect()
    }

    /// Ends the fan-outs of events whose deliveries are changed as a whole.
    ///
    /// What such a change does to the deliveries that are stored, it must do to those that are not
    /// yet: parts that came after an erasure would bring the payload back.
    pub(crate) fn end_fan_outs(&mut self, query: &DeliveryQuery, to: Change) {
        let ended = |f: &&Unfinished| FanOut::ends_with(&f.fan_out.event, query, to);
        let ended = self.fan_outs.values().filter(ended);
        let ended: Vec<_> = ended.map(|f| f.fan_out.event.event.id).collect();
        for id in ended {
            self.forget_fan_out(id);
        }
    }
}

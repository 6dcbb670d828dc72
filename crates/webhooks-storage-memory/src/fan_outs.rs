use std::sync::Arc;

use webhooks_core::storage::{
    Change, DeliveryQuery, Enqueued, FanOut, FanOutPart, NewEvent, PartPlace,
};
use webhooks_core::{Result, Timestamp};

use crate::state::State;
use crate::unfinished::Unfinished;

impl State {
    pub(crate) fn fan_out(
        &mut self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let id = part.event.event.id;
        match part.place {
            PartPlace::First => {}
            PartPlace::Later if self.fan_outs.contains_key(&id) => {}
            // There is no outbox here.
            PartPlace::Later | PartPlace::FirstOfOutbox => return Ok(None),
        }
        let events = std::slice::from_ref(&part.event);
        let answer = self.enqueue(events, None, now)?.pop();
        if matches!(answer, Some(Enqueued::Duplicate { .. })) {
            return Ok(answer);
        }
        let Some(up_to) = part.up_to.clone() else {
            self.fan_outs.remove(&id);
            return Ok(answer);
        };
        let unfinished = self.fan_outs.entry(id).or_insert_with(|| Unfinished {
            fan_out: FanOut {
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
        Ok(answer)
    }

    pub(crate) fn fan_outs(&self, idle_since: Timestamp, limit: usize) -> Vec<FanOut> {
        let idle = self.fan_outs.values().filter(|f| f.moved_at <= idle_since);
        idle.take(limit).map(|f| f.fan_out.clone()).collect()
    }

    /// Ends the fan-outs of events whose deliveries are changed as a whole.
    pub(crate) fn end_fan_outs(&mut self, query: &DeliveryQuery, to: Change) {
        self.fan_outs
            .retain(|_, f| !FanOut::ends_with(&f.fan_out.event, query, to));
    }
}

//! What a process knows of what waits in the storage.

use std::sync::Arc;

use webhooks_core::storage::spi::Enqueued;

use super::Step;
use crate::simulation::node::Input;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

impl World<'_> {
    /// What was stored and has no place is a backlog, until a claim finds all there is.
    pub(super) fn check_backlogs(&mut self, n: usize, step: &Step<'_>) {
        match step.input {
            Input::Stored(sendings, answers) => {
                for (sending, answer) in sendings.iter().zip(*answers) {
                    if !matches!(answer, Enqueued::Stored { .. }) {
                        continue;
                    }
                    let event = &sending.event;
                    let waits = event.deliveries.iter().filter(|delivery| !delivery.lease);
                    for delivery in waits.filter(|_| event.due_at <= step.now.at) {
                        self.check_backlog(n, step, &delivery.endpoint_id);
                    }
                }
            }
            Input::Claimed(asked) => {
                let brought: usize = asked.brought.values().sum();
                if brought >= asked.limit || self.nodes[n].model.losses > 0 {
                    return;
                }
                for view in step.after.values().filter(|view| view.is_backlogged) {
                    let listed = asked
                        .room
                        .iter()
                        .find(|r| r.endpoint_id == view.endpoint_id);
                    let brought = asked.brought.get(&view.endpoint_id).copied().unwrap_or(0);
                    let room = listed.map_or(asked.per_endpoint, |room| room.deliveries);
                    if brought < room && !self.batches_vary && self.nodes[n].leaving.is_none() {
                        fail("a backlog ends", &view.endpoint_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_backlog(&self, n: usize, step: &Step<'_>, endpoint_id: &Arc<str>) {
        let Some(lane) = self.nodes[n].model.of(endpoint_id) else {
            return;
        };
        let is_it = |view: &&crate::schedule::LaneView| {
            view.endpoint_id == *endpoint_id && view.incarnation == lane.record.incarnation
        };
        let view = step.after.values().find(is_it);
        if view.is_some_and(|view| !view.is_backlogged) {
            fail("what waits in the storage is known", endpoint_id);
        }
    }
}

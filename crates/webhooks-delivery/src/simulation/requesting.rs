//! Requests are made, and end.

use webhooks_core::DeliveryResult;

use super::event::NodeEvent;
use super::node::Input;
use super::receiver;
use super::world::World;
use crate::schedule::{Content, Request, RequestId};

impl World<'_> {
    /// A request goes out; what comes of it is drawn by how its endpoint behaves.
    pub(super) fn send_request(&mut self, n: usize, request: Request) {
        let endpoint = &request.record.endpoint;
        let number: usize = endpoint.id[1..].parse().unwrap();
        let behaviour = self.plan.endpoints[number].behaviour(self.ms(), self.plan.ends);
        let timeout = self.plan.settings.timeout_of(endpoint);
        let is_batch = matches!(request.content, Content::Batch(_));
        let at = request.started_at;
        let (micros, result) = receiver::respond(&mut self.rng, behaviour, is_batch, timeout, at);
        // What arrives counts even if nobody is there any more to hear of it.
        if result.as_ref().is_some_and(DeliveryResult::is_delivered) {
            for delivery in self.scheduler(n).carried(request.id) {
                self.ledger.rows.get_mut(&delivery.id).unwrap().arrived = true;
            }
        }
        if is_poison(&request.content) && !self.is_calm() {
            let us = self.rng.u64(1_000..50_000);
            self.later(n, us, NodeEvent::Die);
        }
        self.later(n, micros, NodeEvent::Ended(request.id, result));
    }

    pub(super) fn request_ended(
        &mut self,
        n: usize,
        request: RequestId,
        result: Option<DeliveryResult>,
    ) {
        self.note(|| format!("n{n} {request:?} ends: {result:?}"));
        let input = Input::Ended(request, result.as_ref());
        self.tell(n, input, |s, now| match &result {
            Some(result) => s.ended(now, request, result),
            None => s.ended_untried(now, request),
        });
    }

    /// A node takes nothing any more, and leaves once what is in flight has ended.
    pub(super) fn shut_down(&mut self, n: usize, ms: u64) {
        let node = &self.nodes[n];
        if !node.is_up || node.leaving.is_some() || !node.beats.is_ready {
            return;
        }
        self.note(|| format!("n{n} shuts down"));
        self.nodes[n].leaving = Some(self.us + ms * 1_000);
        self.tell(n, Input::Stopped, crate::schedule::Scheduler::stop);
        self.later(n, 0, NodeEvent::Leave);
    }

    pub(super) fn leave(&mut self, n: usize) {
        let until = self.nodes[n].leaving.unwrap();
        let node = &self.nodes[n];
        let committer_is_idle = node.committer.is_idle();
        if node.scheduler.in_flight() > 0 || !committer_is_idle {
            if self.us < until || node.was_cut_off {
                return self.later(n, 20_000, NodeEvent::Leave);
            }
            self.note(|| format!("n{n} cuts off"));
            self.nodes[n].was_cut_off = true;
            let requests = self.scheduler(n).in_flight();
            let cut_off = self.tell(n, Input::CutOff, crate::schedule::Scheduler::cut_off);
            if cut_off != requests || self.scheduler(n).in_flight() > 0 {
                super::trace::fail("all is cut off", format!("{cut_off} of {requests}"));
            }
        }
        let node = &self.nodes[n];
        if !node.is_idle() {
            // The storage is away or refuses something; who waits gives up at last.
            return self.later(n, 20_000, NodeEvent::Leave);
        }
        self.note(|| format!("n{n} is gone"));
        self.check_left(n);
        self.nodes[n].is_up = false;
        self.nodes[n].wait = None;
        let us = self.us + self.rng.u64(100_000..5_000_000);
        self.at(us, super::event::Event::Start(n));
    }
}

fn is_poison(content: &Content) -> bool {
    let is_poison = |payload: &bytes::Bytes| payload.starts_with(b"poison");
    match content {
        Content::One(event) => is_poison(&event.payload),
        Content::Batch(events) => events.iter().any(|event| is_poison(&event.payload)),
    }
}

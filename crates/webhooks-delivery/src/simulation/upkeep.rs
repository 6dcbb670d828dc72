//! A node beats and ticks, as `runtime/upkeep.rs` does.

use webhooks_core::Result;

use super::event::{Answer, Call, NodeEvent, To};
use super::node::Input;
use super::reading::Job;
use super::world::World;

/// Between two beats, in microseconds.
const BEAT: u64 = 800_000;

impl World<'_> {
    pub(super) fn beat(&mut self, n: usize) {
        self.nodes[n].beats.asked = self.us;
        let worker = self.nodes[n].worker.clone();
        self.ask(n, To::Beat, Call::Beat { worker });
    }

    pub(super) fn beaten(&mut self, n: usize, answer: Result<Answer>) {
        let beat = match answer {
            Ok(Answer::Beat(beat)) => beat,
            Ok(other) => unreachable!("{other:?}"),
            Err(_) => return self.next_beat(n),
        };
        let asked_us = self.nodes[n].beats.asked;
        let asked = self.base() + std::time::Duration::from_micros(asked_us);
        self.nodes[n]
            .clock
            .set_between(beat.now, asked, self.moment());
        let input = Input::Beaten {
            asked: asked_us,
            lost: beat.lost,
        };
        self.tell(n, input, |s, now| s.beaten(now, asked, beat.lost));
        if beat.rescued > 0 {
            self.wake_claimer(n);
        }
        let is_first = !self.nodes[n].beats.is_ready;
        if is_first || beat.revision != self.scheduler(n).revision() {
            return self.read_endpoints(n, Job::Beat);
        }
        self.next_beat(n);
    }

    pub(super) fn endpoints_read_after_beat(&mut self, n: usize, is_read: bool) {
        if is_read && !std::mem::replace(&mut self.nodes[n].beats.is_ready, true) {
            self.start_claimers(n);
            self.keep_ticking(n);
        }
        self.next_beat(n);
    }

    fn next_beat(&mut self, n: usize) {
        let next = (self.nodes[n].beats.asked + BEAT).max(self.us) - self.us;
        self.later(n, next, NodeEvent::Beat);
    }

    /// Sleeps until the next tick, or until it is told to watch.
    fn keep_ticking(&mut self, n: usize) {
        let pause = self.scheduler(n).next_wake();
        let ticks = &mut self.nodes[n].ticks;
        ticks.alarm += 1;
        let alarm = ticks.alarm;
        ticks.sleeps = false;
        let pause = match pause {
            Some(pause) => u64::try_from(pause.as_micros()).unwrap(),
            None if std::mem::take(&mut ticks.permit) => 0,
            None => {
                ticks.sleeps = true;
                return;
            }
        };
        self.later(n, pause, NodeEvent::Tick(alarm));
    }

    pub(super) fn tick(&mut self, n: usize, alarm: u64) {
        if self.nodes[n].ticks.alarm == alarm {
            self.tell(n, Input::Ticked, |s, now| s.tick(now));
            self.keep_ticking(n);
        }
    }

    /// From now on time alone may change what can start.
    pub(super) fn watch(&mut self, n: usize) {
        let ticks = &mut self.nodes[n].ticks;
        if ticks.sleeps {
            ticks.sleeps = false;
            let alarm = ticks.alarm;
            return self.later(n, 0, NodeEvent::Tick(alarm));
        }
        ticks.permit = true;
    }
}

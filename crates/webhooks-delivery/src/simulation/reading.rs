//! Changed endpoints are read, as `runtime/endpoint_reader.rs` does: one at a time.

use webhooks_core::Result;

use super::event::{Answer, Call, To};
use super::node::{Input, Queue};
use super::world::World;

/// Why endpoints are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Beat,
    Claim(usize),
    /// Nobody reads while gates are taken over as stored.
    PauseForGates,
    Gates,
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    reads: Option<Job>,
    queue: Queue<Job>,
}

impl World<'_> {
    pub(super) fn read_endpoints(&mut self, n: usize, job: Job) {
        match self.nodes[n].reader.reads {
            Some(_) => self.nodes[n].reader.queue.push_back(job),
            None => self.begin_job(n, job),
        }
    }

    fn begin_job(&mut self, n: usize, job: Job) {
        if job == Job::PauseForGates {
            self.gates_stored(n);
            return self.next_job(n);
        }
        self.nodes[n].reader.reads = Some(job);
        self.read_page(n);
    }

    fn read_page(&mut self, n: usize) {
        let since = self.scheduler(n).revision();
        self.ask(n, To::Reader, Call::Endpoints { since });
    }

    pub(super) fn read(&mut self, n: usize, answer: Result<Answer>) {
        let is_read = match answer {
            Ok(Answer::Changes(changes)) => {
                let is_more = changes.more;
                let input = Input::Changes(changes.records.clone());
                self.tell(n, input, |s, now| s.endpoints_changed(now, changes));
                if is_more {
                    return self.read_page(n);
                }
                true
            }
            Ok(other) => unreachable!("{other:?}"),
            Err(_) => false,
        };
        let job = self.nodes[n].reader.reads.take();
        match job {
            Some(Job::Beat) => self.endpoints_read_after_beat(n, is_read),
            Some(Job::Claim(claimer)) => self.claim_has_read(n, claimer, is_read),
            Some(Job::Gates) => self.gates_read(n, is_read),
            Some(Job::PauseForGates) | None => unreachable!("nobody reads"),
        }
        self.next_job(n);
    }

    fn next_job(&mut self, n: usize) {
        let reader = &mut self.nodes[n].reader;
        if reader.reads.is_none()
            && let Some(job) = reader.queue.pop_front()
        {
            self.begin_job(n, job);
        }
    }
}

//! What happens when: the queue of the simulated clock.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::database::Job;

/// What happens.
#[derive(Debug)]
pub(super) enum Happening {
    /// An event is sent.
    Send,
    /// A page is listed.
    List,
    /// A core has done its part of a call.
    Worked(Box<Job>),
    /// The call is answered.
    Answered(Box<Job>),
    /// A process has waited for more to settle with.
    Gathered(usize),
    /// A request of this process has ended, of a delivery that was sent then.
    Responded(usize, f64),
}

/// What is to happen, in the order of time; at the same time, in the order in which it was told.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Entry>,
    told: u64,
}

#[derive(Debug)]
struct Entry {
    at: f64,
    told: u64,
    what: Happening,
}

impl Agenda {
    pub(super) fn tell(&mut self, at: f64, what: Happening) {
        self.told += 1;
        let told = self.told;
        self.heap.push(Entry { at, told, what });
    }

    pub(super) fn next(&mut self) -> Option<(f64, Happening)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

impl Ord for Entry {
    /// The heap gives the largest first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = other.at.total_cmp(&self.at);
        by_time.then(other.told.cmp(&self.told))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

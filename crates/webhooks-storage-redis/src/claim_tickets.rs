use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use webhooks_core::WorkerId;

/// Workers that are remembered; a process has one or a few.
const MOST_WORKERS: usize = 1_000;

/// The numbers under which claims are made.
///
/// Redis keeps what a claim leased under its slot and request. A claim whose answer never came,
/// because the connection or the patience of the caller ended, leaves its request unanswered; the
/// worker's next claim makes the same request again, and gets what was leased then. So no delivery
/// stays leased to a living worker that does not know of it.
#[derive(Debug, Default)]
pub(crate) struct ClaimTickets {
    idle: Mutex<HashMap<(WorkerId, usize), Slots>>,
}

#[derive(Debug, Default)]
struct Slots {
    idle: Vec<Ticket>,
    made: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    slot: u32,
    /// The request that has no answer yet.
    unanswered: Option<u64>,
}

/// The right to claim under a slot, for one claim at a time. Dropped unanswered, its request is
/// made again.
#[derive(Debug)]
pub(crate) struct TakenTicket<'a> {
    tickets: &'a ClaimTickets,
    owner: (WorkerId, usize),
    pub(crate) slot: u32,
    pub(crate) request: u64,
    answered: bool,
}

impl ClaimTickets {
    /// A ticket for a claim of this worker in this partition, one with an unanswered request first.
    pub(crate) fn take(&self, worker: &WorkerId, partition: usize) -> TakenTicket<'_> {
        let owner = (worker.clone(), partition);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() > MOST_WORKERS {
            // Only workers that claim no more are forgotten for long; their leases end with them.
            idle.clear();
        }
        let slots = idle.entry(owner.clone()).or_default();
        let unanswered = slots.idle.iter().position(|t| t.unanswered.is_some());
        let last = slots.idle.len().checked_sub(1);
        let ticket = unanswered.or(last).map(|n| slots.idle.swap_remove(n));
        let ticket = ticket.unwrap_or_else(|| {
            slots.made += 1;
            Ticket {
                slot: slots.made,
                unanswered: None,
            }
        });
        drop(idle);
        TakenTicket {
            tickets: self,
            owner,
            slot: ticket.slot,
            request: ticket.unanswered.unwrap_or_else(|| fastrand::u64(..)),
            answered: false,
        }
    }
}

impl TakenTicket<'_> {
    /// The caller has the answer.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for TakenTicket<'_> {
    fn drop(&mut self) {
        let idle = self.tickets.idle.lock();
        let mut idle = idle.unwrap_or_else(PoisonError::into_inner);
        let slots = idle.entry(self.owner.clone()).or_default();
        slots.idle.push(Ticket {
            slot: self.slot,
            unanswered: (!self.answered).then_some(self.request),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_request_is_made_again() {
        let (tickets, worker) = (ClaimTickets::default(), WorkerId::named("a"));
        let first = tickets.take(&worker, 0);
        let second = tickets.take(&worker, 0);
        assert_ne!((first.slot, first.request), (second.slot, second.request));
        let lost = (second.slot, second.request);
        drop(second);
        first.answered();
        let again = tickets.take(&worker, 0);
        assert_eq!((again.slot, again.request), lost);
        again.answered();
        assert_ne!(tickets.take(&worker, 0).request, lost.1);
        assert_ne!(tickets.take(&WorkerId::named("b"), 0).request, lost.1);
    }
}

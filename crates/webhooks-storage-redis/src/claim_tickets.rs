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
/// stays leased to a living worker that does not know of it. Requests of a slot are numbered, and
/// Redis ignores one that arrives behind a later one, which can only be a copy.
#[derive(Debug)]
pub(crate) struct ClaimTickets {
    /// Tells the slots of this storage from those of others.
    epoch: u64,
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
    request: u64,
    answered: bool,
}

/// The right to claim under a slot, for one claim at a time. Dropped unanswered, its request is
/// made again.
#[derive(Debug)]
pub(crate) struct TakenTicket<'a> {
    tickets: &'a ClaimTickets,
    owner: (WorkerId, usize),
    ticket: Ticket,
}

impl Default for ClaimTickets {
    fn default() -> Self {
        Self {
            epoch: webhooks_core::unique_number(),
            idle: Mutex::default(),
        }
    }
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
        let unanswered = slots.idle.iter().position(|ticket| !ticket.answered);
        let last = slots.idle.len().checked_sub(1);
        let idle_one = unanswered.or(last).map(|n| slots.idle.swap_remove(n));
        let mut ticket = idle_one.unwrap_or_else(|| {
            slots.made += 1;
            Ticket {
                slot: slots.made,
                request: 0,
                answered: true,
            }
        });
        if ticket.answered {
            ticket.request += 1;
            ticket.answered = false;
        }
        drop(idle);
        TakenTicket {
            tickets: self,
            owner,
            ticket,
        }
    }
}

impl TakenTicket<'_> {
    pub(crate) fn slot(&self) -> String {
        format!("{:016x}-{}", self.tickets.epoch, self.ticket.slot)
    }

    pub(crate) const fn request(&self) -> u64 {
        self.ticket.request
    }

    /// The caller has the answer.
    pub(crate) fn answered(mut self) {
        self.ticket.answered = true;
    }
}

impl Drop for TakenTicket<'_> {
    fn drop(&mut self) {
        let idle = self.tickets.idle.lock();
        let mut idle = idle.unwrap_or_else(PoisonError::into_inner);
        let slots = idle.entry(self.owner.clone()).or_default();
        slots.idle.push(self.ticket);
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
        assert_ne!(first.slot(), second.slot());
        let lost = (second.slot(), second.request());
        drop(second);
        first.answered();
        let again = tickets.take(&worker, 0);
        assert_eq!((again.slot(), again.request()), lost);
        again.answered();
        let next = tickets.take(&worker, 0);
        assert_eq!((next.slot(), next.request()), (lost.0, lost.1 + 1));
    }

    #[test]
    fn storages_do_not_share_slots() {
        let worker = WorkerId::named("a");
        let (one, other) = (ClaimTickets::default(), ClaimTickets::default());
        assert_ne!(one.take(&worker, 0).slot(), other.take(&worker, 0).slot());
    }
}

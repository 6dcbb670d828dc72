//! What a lost answer leased is given back, as `runtime/lost_leases.rs` does.

use std::collections::HashSet;

use webhooks_core::storage::spi::{HeldLease, SettleAs, Settlement};
use webhooks_core::{DeliveryId, Result, Timestamp};

use super::event::{Answer, Call, NodeEvent, To};
use super::node::Input;
use super::world::World;
use crate::schedule::{LeaseKey, key};

/// Between two looks, in microseconds.
const PAUSE: u64 = 10_000_000;
const LOOKS: usize = 8;
const RETRY: u64 = 50_000;

#[derive(Debug, Default)]
pub(super) struct Looks {
    permit: bool,
    /// It looks, or waits for the next look.
    is_awake: bool,
    /// Looks to be made.
    left: usize,
    seen: HashSet<LeaseKey>,
    unknown: HashSet<LeaseKey>,
    after: Option<DeliveryId>,
}

impl World<'_> {
    /// A call failed that may have leased something all the same.
    pub(super) fn leases_unknown(&mut self, n: usize) {
        let looks = &mut self.nodes[n].looks;
        if std::mem::replace(&mut looks.is_awake, true) {
            looks.permit = true;
            return;
        }
        looks.left = LOOKS;
        looks.seen.clear();
        self.look_for_leases(n);
    }

    pub(super) fn look_for_leases(&mut self, n: usize) {
        let looks = &mut self.nodes[n].looks;
        if looks.left == 0 {
            looks.is_awake = false;
            if std::mem::take(&mut looks.permit) {
                self.leases_unknown(n);
            }
            return;
        }
        looks.after = None;
        looks.unknown.clear();
        self.next_page(n);
    }

    fn next_page(&mut self, n: usize) {
        let (worker, after) = (self.nodes[n].worker.clone(), self.nodes[n].looks.after);
        self.ask(n, To::Look, Call::LeasedBy { worker, after });
    }

    pub(super) fn looked(&mut self, n: usize, answer: Result<Answer>) {
        let told = match answer {
            Ok(Answer::Leases(told)) => told,
            Ok(other) => unreachable!("{other:?}"),
            Err(_) => return self.later(n, RETRY, NodeEvent::Look),
        };
        let looks = &mut self.nodes[n].looks;
        looks.after = told.last().map(|lease| lease.delivery_id);
        if looks.after.is_none() {
            looks.seen = std::mem::take(&mut looks.unknown);
            looks.left -= 1;
            return self.later(n, PAUSE, NodeEvent::Look);
        }
        let seen = looks.seen.clone();
        let (lost, new) = self.tell(n, Input::Other, |s, now| s.lose(now, told, &seen));
        self.nodes[n].looks.unknown.extend(new.iter().map(key));
        if lost.is_empty() {
            return self.next_page(n);
        }
        self.check_lost(n, &lost);
        let now = self.node_time(n);
        let settlements = lost.into_iter().map(|lease| release(lease, now)).collect();
        let worker = self.nodes[n].worker.clone();
        self.ask(
            n,
            To::GivenBack,
            Call::Settle {
                worker,
                settlements,
                now,
            },
        );
    }

    pub(super) fn gave_back(&mut self, n: usize, answer: Result<Answer>) {
        match answer {
            Ok(_) => {
                self.wake_claimer(n);
                self.next_page(n);
            }
            Err(_) => self.later(n, RETRY, NodeEvent::Look),
        }
    }
}

fn release(lease: HeldLease, at: Timestamp) -> Settlement {
    Settlement {
        delivery_id: lease.delivery_id,
        endpoint_id: lease.endpoint_id,
        token: lease.token,
        settle_as: SettleAs::Release { at },
        attempt: None,
    }
}

//! Ready deliveries are brought into their lanes, as `runtime/claimer.rs` does.

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::Claimed;
use webhooks_core::{Result, Timestamp};

use super::event::{Answer, Call, NodeEvent, To};
use super::node::{Asked, Input};
use super::reading::Job;
use super::world::World;
use crate::schedule::{AfterClaim, ClaimRequest, Scheduler};

/// How often the storage is asked at least, in microseconds.
const POLL: u64 = 1_600_000;
const FIRST_PAUSE: u64 = 50_000;
const LONGEST_PAUSE: u64 = 5_000_000;

/// One that claims; the first of a node watches, the others help.
#[derive(Debug, Default)]
pub(super) struct Claimer {
    pub(super) does: Does,
    /// An alarm with another number is outdated.
    alarm: u64,
    pause: u64,
}

#[derive(Debug, Default)]
pub(super) enum Does {
    /// Waits to be told.
    #[default]
    Waits,
    /// Was told, and is about to look.
    Wakes,
    Asks(ClaimRequest),
    Reads(ClaimRequest, Option<Timestamp>),
}

impl World<'_> {
    /// Claimers begin to work.
    pub(super) fn start_claimers(&mut self, n: usize) {
        for claimer in 0..self.nodes[n].claimers.len() {
            if claimer == 0 {
                self.wake(n, 0, 0);
            }
        }
    }

    /// There may be something to claim, and there is room for it.
    pub(super) fn wake_claimer(&mut self, n: usize) {
        match self.nodes[n].claimers.first() {
            Some(Claimer {
                does: Does::Waits, ..
            }) if self.nodes[n].beats.is_ready => {
                self.wake(n, 0, 0);
            }
            _ => self.nodes[n].claim_permit = true,
        }
    }

    fn wake_helper(&mut self, n: usize) {
        let waits = |c: &Claimer| matches!(c.does, Does::Waits);
        let helpers = self.nodes[n].claimers.iter().enumerate().skip(1);
        let helper = helpers.filter(|(_, c)| waits(c)).map(|(i, _)| i).next();
        match helper {
            Some(helper) => self.wake(n, helper, 0),
            None => self.nodes[n].help_permit = true,
        }
    }

    fn wake(&mut self, n: usize, claimer: usize, us: u64) {
        let node = &mut self.nodes[n];
        node.claimers[claimer].does = Does::Wakes;
        node.claimers[claimer].alarm += 1;
        if claimer == 0 {
            node.wait = None;
        }
        let alarm = node.claimers[claimer].alarm;
        self.later(n, us, NodeEvent::Claim(claimer, alarm));
    }

    pub(super) fn claimer_wakes(&mut self, n: usize, claimer: usize, alarm: u64) {
        if self.nodes[n].claimers[claimer].alarm == alarm {
            if claimer == 0 {
                self.nodes[n].wait = None;
            }
            self.claim(n, claimer);
        }
    }

    fn claim(&mut self, n: usize, claimer: usize) {
        if self.scheduler(n).is_stopping() {
            self.nodes[n].claimers[claimer].does = Does::Wakes;
            return;
        }
        let Some(claim) = self.tell(n, Input::ClaimWanted, |s, now| s.claim_wanted(now)) else {
            self.check_no_claim(n);
            return self.rest(n, claimer, None);
        };
        self.check_claim(n, &claim);
        let call = Call::Claim {
            worker: self.nodes[n].worker.clone(),
            now: self.node_time(n),
            limit: claim.limit,
            per_endpoint: claim.per_endpoint,
            room: claim.room.clone(),
            poison_suspects: claim.poison_suspects,
        };
        self.nodes[n].claimers[claimer].does = Does::Asks(claim);
        self.ask(n, To::Claimer(claimer), call);
    }

    pub(super) fn claim_answered(&mut self, n: usize, claimer: usize, answer: Result<Answer>) {
        let does = std::mem::take(&mut self.nodes[n].claimers[claimer].does);
        let Does::Asks(claim) = does else {
            unreachable!("nobody asked");
        };
        match answer {
            Ok(Answer::Claimed(claimed)) => {
                let due = claimed.next_due;
                self.check_claimed(n, &claim, &claimed);
                match self.tell_claimed(n, claimer, claim, claimed) {
                    None => self.read_endpoints(n, Job::Claim(claimer)),
                    Some(follows) => self.claim_ended(n, claimer, follows, due),
                }
            }
            Err(error) => {
                self.tell(n, Input::EndClaim, |s, _| s.claim_failed(&claim));
                if error.outcome_unknown() {
                    self.leases_unknown(n);
                }
                let pause = &mut self.nodes[n].claimers[claimer].pause;
                let now = (*pause).max(FIRST_PAUSE);
                *pause = (now * 2).min(LONGEST_PAUSE);
                self.wake(n, claimer, now);
            }
            Ok(other) => unreachable!("{other:?}"),
        }
    }

    /// Tells what a claim brought; whether the next one follows at once, or `None` if endpoints are to
    /// be read before it is ended: then it stays with its claimer.
    fn tell_claimed(
        &mut self,
        n: usize,
        claimer: usize,
        claim: ClaimRequest,
        claimed: Claimed,
    ) -> Option<bool> {
        let now = self.now(n);
        let before = self.before(n, now);
        let mut brought = BTreeMap::new();
        for delivery in &claimed.deliveries {
            *brought.entry(delivery.endpoint_id.clone()).or_default() += 1;
        }
        let asked = Asked {
            limit: claim.limit,
            per_endpoint: claim.per_endpoint,
            room: claim.room.clone(),
            brought,
        };
        let due = claimed.next_due;
        let after = self.nodes[n]
            .scheduler
            .claimed(now, claim, claimed.deliveries);
        let (does, follows) = match after {
            AfterClaim::Again => (Does::Wakes, Some(true)),
            AfterClaim::Rest => (Does::Wakes, Some(false)),
            AfterClaim::ReadEndpoints(claim) => (Does::Reads(claim, due), None),
        };
        self.nodes[n].claimers[claimer].does = does;
        self.after(n, now, &before, Input::Claimed(&asked));
        follows
    }

    /// Endpoints were read for what a claim brought of unknown ones.
    pub(super) fn claim_has_read(&mut self, n: usize, claimer: usize, is_read: bool) {
        let does = std::mem::take(&mut self.nodes[n].claimers[claimer].does);
        if let Does::Reads(claim, due) = does {
            self.nodes[n].claimers[claimer].does = Does::Wakes;
            let end = |s: &mut Scheduler, now| s.end_claim(now, claim, is_read);
            let after = self.tell(n, Input::EndClaim, end);
            let follows = matches!(after, AfterClaim::Again);
            self.claim_ended(n, claimer, follows, due);
        }
    }

    fn claim_ended(&mut self, n: usize, claimer: usize, follows: bool, due: Option<Timestamp>) {
        self.nodes[n].claimers[claimer].pause = 0;
        if follows {
            self.wake_helper(n);
            self.wake(n, claimer, 0);
        } else {
            self.rest(n, claimer, due);
        }
    }

    /// Waits for work.
    fn rest(&mut self, n: usize, claimer: usize, due: Option<Timestamp>) {
        if claimer > 0 {
            let permit = std::mem::take(&mut self.nodes[n].help_permit);
            self.nodes[n].claimers[claimer].does = Does::Waits;
            if permit {
                self.wake(n, claimer, 0);
            }
            return self.wake_claimer(n);
        }
        if std::mem::take(&mut self.nodes[n].claim_permit) {
            return self.wake(n, 0, 0);
        }
        let now = self.node_time(n);
        let poll = due.map_or(POLL, |at| {
            let micros = u64::try_from(at.since(now).as_micros()).unwrap();
            micros.min(POLL)
        });
        let claimer = &mut self.nodes[n].claimers[0];
        claimer.does = Does::Waits;
        claimer.alarm += 1;
        let alarm = claimer.alarm;
        self.later(n, poll, NodeEvent::Claim(0, alarm));
        if self.plan.wakes {
            let storage = self.storage.clone();
            self.nodes[n].wait = Some(Box::pin(async move { storage.wait().await }));
            self.wake_who_waits();
        }
    }

    /// Wakes those claimers that the storage has woken.
    pub(super) fn wake_who_waits(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for n in 0..self.nodes.len() {
            let wait = self.nodes[n].wait.as_mut();
            if wait.is_some_and(|wait| wait.as_mut().poll(&mut context).is_ready()) {
                self.nodes[n].wait = None;
                self.wake(n, 0, 0);
            }
        }
    }
}

//! Calls of the storage, and what goes wrong with them.

use futures_util::FutureExt;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::Claim;
use webhooks_core::{Result, WebhookError};

use super::event::{Answer, Asking, Call, Event, NodeEvent, To};
use super::world::World;

/// What becomes of a call.
enum Fate {
    Fine,
    Before,
    AnswerLost,
    DoneLater,
    Slow,
}

/// What the memory storage answers: at once.
pub(super) fn done<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    call.now_or_never()
        .expect("the memory storage waits for nothing")
}

impl World<'_> {
    /// A node asks the storage; the answer comes later, if it comes.
    pub(super) fn ask(&mut self, node: usize, to: To, call: Call) {
        let latency = self.plan.latency;
        let (there, back) = (self.rng.u64(10..=latency), self.rng.u64(10..=latency));
        let life = self.nodes[node].life;
        let mut asking = Asking {
            node,
            life,
            call,
            answer: Some((to, back)),
            loses: false,
        };
        let effect = match self.fate() {
            Fate::Fine => there,
            Fate::Slow if self.rng.u8(0..8) == 0 => there + self.rng.u64(20_000_000..60_000_000),
            Fate::Slow => there + self.rng.u64(100_000..8_000_000),
            Fate::AnswerLost => {
                asking.loses = true;
                there
            }
            Fate::Before => return self.fails(&asking, there + back, unknown().without_effect()),
            Fate::DoneLater => {
                self.fails(&asking, there + back, unknown());
                asking.answer = None;
                there + self.rng.u64(100_000..30_000_000)
            }
        };
        self.at(self.us + effect, Event::Effect(Box::new(asking)));
    }

    fn fails(&mut self, asking: &Asking, us: u64, error: WebhookError) {
        let Some((to, _)) = asking.answer else { return };
        self.note(|| format!("n{} {to:?} will fail: {error}", asking.node));
        self.later(asking.node, us, NodeEvent::Answer(to, Err(error)));
    }

    fn fate(&mut self) -> Fate {
        if self.ms() < self.outage {
            return Fate::Before;
        }
        if self.is_calm() {
            return Fate::Fine;
        }
        let faults = self.plan.faults;
        let mut drawn = self.rng.u32(0..1_000);
        for (often, fate) in [
            (faults.before, Fate::Before),
            (faults.answer_lost, Fate::AnswerLost),
            (faults.done_later, Fate::DoneLater),
            (faults.slow, Fate::Slow),
        ] {
            if drawn < often {
                return fate;
            }
            drawn -= often;
        }
        Fate::Fine
    }

    /// The storage does what it was asked to do, and answers.
    pub(super) fn effect(&mut self, asking: Asking) {
        let Asking {
            node,
            life,
            call,
            answer,
            loses,
        } = asking;
        let done = match self.is_refused(&call) {
            true => Err(WebhookError::permanent_storage("refused", "for good").without_effect()),
            false => self.perform(&call),
        };
        self.account(node, &call, done.as_ref().ok());
        self.check_counts();
        self.wake_who_waits();
        let Some((to, us)) = answer else { return };
        let done = if loses && done.is_ok() {
            Err(unknown())
        } else {
            done
        };
        let event = NodeEvent::Answer(to, done);
        self.at(self.us + us, Event::Node { node, life, event });
    }

    fn perform(&self, call: &Call) -> Result<Answer> {
        let storage = &self.storage;
        Ok(match call {
            Call::Enqueue {
                worker,
                events,
                now,
            } => Answer::Enqueued(done(storage.enqueue(events, Some(worker), *now))?.answers),
            Call::Claim {
                worker,
                now,
                limit,
                per_endpoint,
                room,
                poison_suspects,
            } => Answer::Claimed(done(storage.claim(&Claim {
                worker,
                now: *now,
                limit: *limit,
                per_endpoint: *per_endpoint,
                room,
                poison_suspects: *poison_suspects,
                rate_limit: self.plan.settings.rate_limit,
            }))?),
            Call::Settle {
                worker,
                settlements,
                now,
            } => Answer::Settled(done(storage.settle(worker, settlements, *now))?),
            Call::SetGates { gates, now } => {
                done(storage.set_gates(gates, *now))?;
                Answer::Done
            }
            Call::Beat { worker } => {
                Answer::Beat(done(storage.beat(Some(worker), Some(self.true_time())))?)
            }
            Call::Endpoints { since } => {
                Answer::Changes(done(storage.endpoints_since(*since, self.plan.page))?)
            }
            Call::LeasedBy { worker, after } => {
                Answer::Leases(done(storage.leased_by(worker, *after, 500))?)
            }
        })
    }

    /// Whether a call holds something that the storage refuses.
    fn is_refused(&self, call: &Call) -> bool {
        let Some((refused, until)) = &self.refused else {
            return false;
        };
        let is_it = |id: &std::sync::Arc<str>| id == refused;
        *until > self.ms()
            && match call {
                Call::Enqueue { events, .. } => events
                    .iter()
                    .flat_map(|e| &e.deliveries)
                    .any(|d| is_it(&d.endpoint_id)),
                Call::Settle { settlements, .. } => {
                    settlements.iter().any(|s| is_it(&s.endpoint_id))
                }
                Call::SetGates { gates, .. } => gates.iter().any(|g| is_it(&g.endpoint_id)),
                _ => false,
            }
    }
}

fn unknown() -> WebhookError {
    WebhookError::transient_storage("the storage did not answer", "a fault")
}

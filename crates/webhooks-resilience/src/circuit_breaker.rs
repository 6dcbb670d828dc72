//! The circuit breaker of one endpoint.
//!
//! ```text
//!          failure_threshold failures in a row        timeout_seconds over
//!  Closed ------------------------------------> Open ---------------------> HalfOpen
//!     ^                                          ^                           |    |
//!     |                                          +---------- a failure ------+    |
//!     +---------------- success_threshold successes ------------------------------+
//! ```
//!
//! failsafe decides when failures are too many and for how long; it knows no probes and reads a
//! clock of its own, so the states, the probes and the time are kept here, in one mutex. Each change
//! of state begins a new generation, and a verdict counts only in the generation of its permit: what
//! started before the circuit opened says nothing about the endpoint now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failsafe::FailurePolicy;
use failsafe::backoff::{self, Constant};
use failsafe::failure_policy::{self, ConsecutiveFailures};
use webhooks_core::{Circuit, CircuitBreakerConfig, CircuitState, Permit, Timestamp, Verdict};

use crate::endpoint_map::Entry;

/// How long to wait while all probes are in flight: none of them says when it will be done.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Holds requests back from an endpoint that fails. A clone is another handle to the same breaker.
#[derive(Clone, Debug)]
pub struct CircuitBreaker(Arc<Mutex<Breaker>>);

/// All of it is behind one lock: a verdict that was judged by one state and counted in another
/// could open a circuit that has just closed.
#[derive(Debug)]
struct Breaker {
    policy: ConsecutiveFailures<Constant>,
    open_for: Duration,
    success_threshold: u32,
    max_probes: u32,
    state: State,
    /// Counts changes of state; see the module's header.
    generation: u64,
    /// Permits that are neither settled nor dropped, of whatever generation: the endpoint has their
    /// requests.
    in_flight: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// `clean` while no failure is counted.
    Closed {
        clean: bool,
    },
    Open {
        until: Timestamp,
    },
    HalfOpen {
        successes: u32,
    },
}

impl CircuitBreaker {
    /// A closed breaker. A count of 0, which [`CircuitBreakerConfig::validate`] refuses, acts as 1.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig) -> Self {
        let open_for = Duration::from_secs(config.timeout_seconds);
        Self(Arc::new(Mutex::new(Breaker {
            policy: failure_policy::consecutive_failures(
                config.failure_threshold,
                backoff::constant(open_for),
            ),
            open_for,
            success_threshold: config.success_threshold,
            max_probes: config.half_open_max_requests.max(1),
            state: State::Closed { clean: true },
            generation: 0,
            in_flight: 0,
        })))
    }

    /// Asks to start one request.
    ///
    /// While half-open, it lets through only as many that at most `half_open_max_requests` are in
    /// flight; requests of an earlier state that still run are among them.
    ///
    /// # Errors
    ///
    /// When to ask again: when the open circuit becomes half-open, or in one second if all probes
    /// are in flight; a probe that ends earlier makes room earlier.
    pub fn try_acquire(&self, now: Timestamp) -> Result<CircuitPermit, Timestamp> {
        // Decided and counted under one lock, or two callers would share the last probe.
        let mut breaker = self.lock();
        breaker.admit(now)?;
        breaker.in_flight += 1;
        Ok(CircuitPermit {
            breaker: self.clone(),
            generation: breaker.generation,
            settled: false,
        })
    }

    /// The circuit as it stands at `now`.
    #[must_use]
    pub fn circuit(&self, now: Timestamp) -> Circuit {
        self.lock().circuit(now)
    }

    /// Closes the circuit and forgets all failures; verdicts on requests that are in flight no
    /// longer count.
    pub fn reset(&self) {
        let mut breaker = self.lock();
        breaker.policy.revived();
        breaker.enter(State::Closed { clean: true });
    }

    /// No user's code runs under this lock and each change is made whole, so that a poisoned one is
    /// as good as any.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry for CircuitBreaker {
    // A permit in flight holds this breaker. Dropped from the map meanwhile, the endpoint would get
    // a second one, which knows nothing of the request and of its failure.
    fn is_idle(&self, _now: Timestamp) -> bool {
        let breaker = self.lock();
        breaker.in_flight == 0 && matches!(breaker.state, State::Closed { clean: true })
    }
}

impl Breaker {
    fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let State::Open { until } = self.state {
            // A clock that was set back must not keep the circuit open for longer than configured.
            let until = until.min(now.after(self.open_for));
            self.state = State::Open { until };
            if now < until {
                return Err(until);
            }
        }
        match self.state {
            State::Closed { .. } => Ok(()),
            // Asked of an open circuit too whose time is over: requests from before it opened may
            // still run, and they take the place of probes.
            _ if self.in_flight >= self.max_probes => Err(now.after(PROBE_WAIT)),
            State::Open { .. } => {
                self.enter(State::HalfOpen { successes: 0 });
                Ok(())
            }
            State::HalfOpen { .. } => Ok(()),
        }
    }

    fn settle(&mut self, verdict: Verdict, now: Timestamp) -> Option<Circuit> {
        let next = match (self.state, verdict) {
            // Nothing that ends while the circuit is open was let through by it.
            (State::Open { .. }, _) => return None,
            (State::Closed { .. }, Verdict::Alive) => {
                self.policy.record_success();
                self.state = State::Closed { clean: true };
                return None;
            }
            (State::Closed { .. }, Verdict::Failed) => {
                let Some(open_for) = self.policy.mark_dead_on_failure() else {
                    self.state = State::Closed { clean: false };
                    return None;
                };
                let until = now.after(open_for);
                State::Open { until }
            }
            (State::HalfOpen { successes }, Verdict::Alive) => {
                let successes = successes + 1;
                if successes < self.success_threshold {
                    self.state = State::HalfOpen { successes };
                    return None;
                }
                // The policy's count goes with the state, or the first failure after closing would
                // open it again.
                self.policy.revived();
                State::Closed { clean: true }
            }
            (State::HalfOpen { .. }, Verdict::Failed) => {
                let open_for = self.policy.mark_dead_on_failure();
                // The policy gives a duration with every failure past its threshold, which this one
                // is.
                let until = now.after(open_for.unwrap_or(self.open_for));
                State::Open { until }
            }
        };
        self.enter(next);
        Some(self.circuit(now))
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn circuit(&self, now: Timestamp) -> Circuit {
        let (state, reopens_at) = match self.state {
            State::Closed { .. } => (CircuitState::Closed, None),
            State::Open { until } if now < until => (CircuitState::Open, Some(until)),
            State::Open { .. } | State::HalfOpen { .. } => (CircuitState::HalfOpen, None),
        };
        Circuit::new(state, reopens_at)
    }
}

/// The right to start one request. Dropped without a verdict, it gives its probe back.
#[derive(Debug)]
#[must_use = "a dropped permit gives its probe back"]
pub struct CircuitPermit {
    breaker: CircuitBreaker,
    generation: u64,
    settled: bool,
}

impl CircuitPermit {
    /// Tells what came of the request; answers with the circuit if that changed its state.
    ///
    /// A verdict of an earlier generation says nothing about the endpoint now, and only frees its
    /// place.
    pub fn settle(mut self, verdict: Verdict, now: Timestamp) -> Option<Circuit> {
        self.settled = true;
        let mut breaker = self.breaker.lock();
        // In any case, before the generations are compared: the request has ended.
        breaker.in_flight -= 1;
        if breaker.generation == self.generation {
            breaker.settle(verdict, now)
        } else {
            None
        }
    }
}

impl Permit for CircuitPermit {
    fn settle(self: Box<Self>, verdict: Verdict, now: Timestamp) -> Option<Circuit> {
        (*self).settle(verdict, now)
    }
}

impl Drop for CircuitPermit {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.lock().in_flight -= 1;
        }
    }
}

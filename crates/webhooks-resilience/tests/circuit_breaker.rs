//! The circuit breaker, step by step, against a plain model, and from many threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use webhooks_core::{Circuit, CircuitBreakerConfig, CircuitState, Timestamp, Verdict};
use webhooks_resilience::{CircuitBreaker, CircuitPermit};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig {
    failure_threshold: 3,
    success_threshold: 2,
    timeout_seconds: 60,
    half_open_max_requests: 2,
};

fn secs(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn settle_one(breaker: &CircuitBreaker, verdict: Verdict, now: Timestamp) -> Option<Circuit> {
    let permit = breaker.try_acquire(now);
    permit.ok().and_then(|permit| permit.settle(verdict, now))
}

/// A breaker that opened at `START`.
fn opened() -> CircuitBreaker {
    let breaker = CircuitBreaker::new(CONFIG);
    for _ in 0..CONFIG.failure_threshold {
        settle_one(&breaker, Verdict::Failed, START);
    }
    assert_eq!(breaker.circuit(START).state, CircuitState::Open);
    breaker
}

#[test]
fn opens_at_the_threshold_of_failures_in_a_row() {
    let breaker = CircuitBreaker::new(CONFIG);
    assert_eq!(settle_one(&breaker, Verdict::Failed, START), None);
    assert_eq!(settle_one(&breaker, Verdict::Failed, START), None);
    let open = Circuit::new(CircuitState::Open, Some(secs(60)));
    assert_eq!(settle_one(&breaker, Verdict::Failed, START), Some(open));
    assert_eq!(breaker.circuit(secs(59)), open);
    assert_eq!(breaker.try_acquire(secs(59)).unwrap_err(), secs(60));
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let breaker = CircuitBreaker::new(CONFIG);
    for _ in 0..10 {
        settle_one(&breaker, Verdict::Failed, START);
        settle_one(&breaker, Verdict::Failed, START);
        settle_one(&breaker, Verdict::Alive, START);
    }
    assert_eq!(breaker.circuit(START), Circuit::default());
}

#[test]
fn half_open_lets_few_through_and_closes_after_enough_successes() {
    let breaker = opened();
    assert_eq!(breaker.circuit(secs(60)).state, CircuitState::HalfOpen);
    let first = breaker.try_acquire(secs(60)).unwrap();
    let second = breaker.try_acquire(secs(60)).unwrap();
    assert_eq!(breaker.try_acquire(secs(60)).unwrap_err(), secs(61));

    assert_eq!(first.settle(Verdict::Alive, secs(61)), None);
    let closed = second.settle(Verdict::Alive, secs(61));
    assert_eq!(closed, Some(Circuit::default()));
    let all: Vec<_> = (0..20).map(|_| breaker.try_acquire(secs(61))).collect();
    assert!(all.iter().all(Result::is_ok));
}

#[test]
fn one_failure_opens_the_half_open_circuit_again_for_the_whole_time() {
    let breaker = opened();
    settle_one(&breaker, Verdict::Alive, secs(70));
    let again = settle_one(&breaker, Verdict::Failed, secs(80)).unwrap();
    assert_eq!(again.reopens_at, Some(secs(140)));
    assert!(breaker.try_acquire(secs(139)).is_err());
    assert!(breaker.try_acquire(secs(140)).is_ok());
}

#[test]
fn a_dropped_permit_gives_its_probe_back() {
    let breaker = opened();
    for _ in 0..10 {
        let probes = [(); 2].map(|()| breaker.try_acquire(secs(60)).unwrap());
        assert!(breaker.try_acquire(secs(60)).is_err());
        drop(probes);
    }
    assert_eq!(breaker.circuit(secs(60)).state, CircuitState::HalfOpen);
}

#[test]
fn verdicts_of_an_earlier_state_do_not_count() {
    let breaker = CircuitBreaker::new(CONFIG);
    let [early_ok, early_bad] = [(); 2].map(|()| breaker.try_acquire(START).unwrap());
    for _ in 0..3 {
        settle_one(&breaker, Verdict::Failed, START);
    }
    // Both are still in flight, so that there is no room for a probe.
    assert!(breaker.try_acquire(secs(60)).is_err());
    assert_eq!(early_ok.settle(Verdict::Alive, secs(60)), None);
    let probe = breaker.try_acquire(secs(60)).unwrap();
    assert_eq!(early_bad.settle(Verdict::Failed, secs(60)), None);
    assert_eq!(breaker.circuit(secs(60)).state, CircuitState::HalfOpen);
    assert_eq!(probe.settle(Verdict::Alive, secs(60)), None);
    assert!(settle_one(&breaker, Verdict::Alive, secs(60)).is_some());
}

#[test]
fn a_reset_closes_and_ends_the_say_of_requests_in_flight() {
    let breaker = opened();
    let probe = breaker.try_acquire(secs(60)).unwrap();
    breaker.reset();
    assert_eq!(probe.settle(Verdict::Failed, secs(60)), None);
    assert_eq!(breaker.circuit(secs(60)), Circuit::default());
}

#[test]
fn a_clock_set_back_keeps_it_open_no_longer_than_configured() {
    let breaker = opened();
    let back = START.before(Duration::from_secs(86_400));
    let until = breaker.try_acquire(back).unwrap_err();
    assert_eq!(until, back.after(Duration::from_secs(60)));
    assert!(breaker.try_acquire(until).is_ok());
}

#[test]
fn the_ends_of_time_neither_overflow_nor_panic() {
    for at in [i64::MIN, i64::MAX].map(Timestamp::from_millis) {
        let breaker = CircuitBreaker::new(CONFIG);
        for _ in 0..10 {
            if let Ok(permit) = breaker.try_acquire(at) {
                permit.settle(Verdict::Failed, at);
            }
        }
    }
}

#[test]
fn many_threads_never_have_more_probes_in_flight_than_allowed() {
    for _ in 0..20 {
        let breaker = CircuitBreaker::new(CircuitBreakerConfig {
            success_threshold: u32::MAX,
            half_open_max_requests: 3,
            failure_threshold: 1,
            ..CONFIG
        });
        settle_one(&breaker, Verdict::Failed, START);
        let (in_flight, most, admitted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let probe = |round: u32| {
            let permit = loop {
                match breaker.try_acquire(secs(60)) {
                    Ok(permit) => break permit,
                    Err(_) => std::thread::yield_now(),
                }
            };
            let now_in_flight = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now_in_flight, Ordering::SeqCst);
            admitted.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            in_flight.fetch_sub(1, Ordering::SeqCst);
            if round.is_multiple_of(2) {
                permit.settle(Verdict::Alive, secs(60));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(probe));
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(admitted.load(Ordering::SeqCst), 800);
        assert_eq!(breaker.circuit(secs(60)).state, CircuitState::HalfOpen);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Settle(prop::sample::Index, Verdict),
    Drop(prop::sample::Index),
    Wait(u64),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![Just(Verdict::Alive), Just(Verdict::Failed)];
    let step = prop_oneof![
        6 => Just(Step::Acquire),
        6 => (any::<prop::sample::Index>(), verdict).prop_map(|(i, v)| Step::Settle(i, v)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => (0_u64..4_000).prop_map(Step::Wait),
        1 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 0..200)
}

/// The breaker as DESIGN tells it, with a list where the real one has counters.
struct Model {
    config: CircuitBreakerConfig,
    state: CircuitState,
    reopens_at: Timestamp,
    /// Verdicts of this state, newest last.
    verdicts: Vec<Verdict>,
    /// How often the state changed.
    changes: usize,
}

impl Model {
    fn enter(&mut self, state: CircuitState, now: Timestamp) {
        self.state = state;
        self.reopens_at = now.after(Duration::from_secs(self.config.timeout_seconds));
        self.verdicts.clear();
        self.changes += 1;
    }

    fn tick(&mut self, now: Timestamp) {
        if self.state == CircuitState::Open && now >= self.reopens_at {
            self.enter(CircuitState::HalfOpen, now);
        }
    }

    fn admits(&self, in_flight: usize) -> bool {
        match self.state {
            CircuitState::Closed => true,
            CircuitState::Open => false,
            CircuitState::HalfOpen => in_flight < self.config.half_open_max_requests as usize,
        }
    }

    fn settle(&mut self, verdict: Verdict, now: Timestamp) {
        self.verdicts.push(verdict);
        let last = |n: u32, which: Verdict| {
            let n = n as usize;
            self.verdicts.len() >= n && self.verdicts.iter().rev().take(n).all(|v| *v == which)
        };
        match self.state {
            CircuitState::Closed if last(self.config.failure_threshold, Verdict::Failed) => {
                self.enter(CircuitState::Open, now);
            }
            CircuitState::HalfOpen if verdict == Verdict::Failed => {
                self.enter(CircuitState::Open, now);
            }
            CircuitState::HalfOpen if last(self.config.success_threshold, Verdict::Alive) => {
                self.enter(CircuitState::Closed, now);
            }
            _ => {}
        }
    }
}

fn take<T>(from: &mut Vec<T>, index: prop::sample::Index) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(index.index(from.len())))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_agrees_with_the_model(
        (failure_threshold, success_threshold, timeout_seconds, half_open_max_requests)
            in (1_u32..5, 1_u32..4, 1_u64..5, 1_u32..4),
        steps in steps(),
    ) {
        let config = CircuitBreakerConfig {
            failure_threshold, success_threshold, timeout_seconds, half_open_max_requests,
        };
        let breaker = CircuitBreaker::new(config);
        let mut model = Model {
            config, state: CircuitState::Closed, reopens_at: START, verdicts: Vec::new(), changes: 0,
        };
        let mut permits: Vec<(CircuitPermit, usize)> = Vec::new();
        let mut now = START;
        for step in steps {
            let before = breaker.circuit(now).state;
            match step {
                Step::Acquire => {
                    model.tick(now);
                    let permit = breaker.try_acquire(now);
                    prop_assert_eq!(permit.is_ok(), model.admits(permits.len()));
                    match permit {
                        Ok(permit) => permits.push((permit, model.changes)),
                        Err(until) => prop_assert!(until > now),
                    }
                }
                Step::Settle(index, verdict) => {
                    if let Some((permit, changes)) = take(&mut permits, index) {
                        let told = permit.settle(verdict, now);
                        if changes == model.changes {
                            model.settle(verdict, now);
                        }
                        let after = breaker.circuit(now);
                        prop_assert_eq!(told, (before != after.state).then_some(after));
                    }
                }
                Step::Drop(index) => drop(take(&mut permits, index)),
                Step::Wait(millis) => now = now.after(Duration::from_millis(millis)),
                Step::Reset => {
                    breaker.reset();
                    model.enter(CircuitState::Closed, now);
                }
            }
            model.tick(now);
            let circuit = breaker.circuit(now);
            prop_assert_eq!(circuit.state, model.state);
            let open = model.state == CircuitState::Open;
            prop_assert_eq!(circuit.reopens_at, open.then_some(model.reopens_at));
        }
    }
}

//! Circuit breaker and rate limit together, as the dispatcher asks them.

#![expect(clippy::panic, reason = "helpers of tests may panic")]

use std::time::Duration;

use webhooks_core::{
    Admission, Circuit, CircuitBreakerConfig, CircuitState, Gate, HeldBy, Permit, RateLimitConfig,
    Timestamp, Verdict,
};
use webhooks_resilience::ResilienceGate;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

const ONE_A_SECOND: RateLimitConfig = RateLimitConfig {
    requests_per_second: 1,
    burst_size: 1,
};

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn gate() -> ResilienceGate {
    ResilienceGate::new(CircuitBreakerConfig {
        failure_threshold: 2,
        success_threshold: 1,
        timeout_seconds: 10,
        half_open_max_requests: 1,
    })
}

fn go(gate: &ResilienceGate, endpoint: &str, now: Timestamp) -> Box<dyn Permit> {
    match gate.admit(endpoint, None, now) {
        Admission::Go(permit) => permit,
        held @ Admission::Wait { .. } => panic!("{endpoint} is held: {held:?}"),
    }
}

fn held(admission: Admission) -> (Timestamp, HeldBy) {
    match admission {
        Admission::Go(_) => panic!("not held"),
        Admission::Wait { until, because } => (until, because),
    }
}

fn open(gate: &ResilienceGate, endpoint: &str) {
    for _ in 0..2 {
        go(gate, endpoint, NOW).settle(Verdict::Failed, NOW);
    }
}

#[test]
fn an_open_circuit_holds_its_endpoint_and_no_other() {
    let gate = gate();
    open(&gate, "dead");
    let answer = held(gate.admit("dead", None, NOW));
    assert_eq!(answer, (later(10), HeldBy::Circuit));
    assert_eq!(gate.circuit("dead", NOW).state, CircuitState::Open);
    drop(go(&gate, "alive", NOW));
    assert_eq!(gate.circuit("alive", NOW), Circuit::default());
    assert_eq!(gate.circuit("unknown", NOW), Circuit::default());
}

#[test]
fn without_a_token_the_probe_is_given_back() {
    let gate = gate();
    assert!(matches!(
        gate.admit("a", Some(ONE_A_SECOND), later(10)),
        Admission::Go(_)
    ));
    open(&gate, "a");
    for _ in 0..3 {
        let answer = held(gate.admit("a", Some(ONE_A_SECOND), later(10)));
        assert_eq!(answer, (later(11), HeldBy::RateLimit));
    }
    let probe = go(&gate, "a", later(10));
    let answer = held(gate.admit("a", None, later(10)));
    assert_eq!(answer, (later(11), HeldBy::Circuit));
    assert_eq!(
        probe.settle(Verdict::Alive, later(10)),
        Some(Circuit::default())
    );
}

#[test]
fn an_open_circuit_takes_no_token() {
    let gate = gate();
    open(&gate, "a");
    let answer = held(gate.admit("a", Some(ONE_A_SECOND), later(9)));
    assert_eq!(answer, (later(10), HeldBy::Circuit));
    assert!(matches!(
        gate.admit("a", Some(ONE_A_SECOND), later(10)),
        Admission::Go(_)
    ));
}

#[test]
fn a_forgotten_endpoint_starts_afresh_and_its_old_requests_do_not_count() {
    let gate = gate();
    let old = [(); 4].map(|()| go(&gate, "a", NOW));
    open(&gate, "a");
    gate.forget("a");
    assert_eq!(gate.circuit("a", NOW), Circuit::default());
    go(&gate, "a", NOW).settle(Verdict::Failed, NOW);
    for permit in old {
        assert_eq!(permit.settle(Verdict::Failed, NOW), None);
    }
    assert_eq!(gate.circuit("a", NOW), Circuit::default());
}

#[test]
fn to_forget_an_endpoint_gets_it_no_second_burst() {
    let gate = gate();
    drop(gate.admit("a", Some(ONE_A_SECOND), NOW));
    gate.forget("a");
    let answer = held(gate.admit("a", Some(ONE_A_SECOND), NOW));
    assert_eq!(answer, (later(1), HeldBy::RateLimit));
}

#[test]
fn healthy_endpoints_are_dropped_and_those_with_failures_are_kept() {
    let gate = gate();
    open(&gate, "open");
    go(&gate, "one failure", NOW).settle(Verdict::Failed, NOW);
    let busy = go(&gate, "busy", NOW);
    for n in 0..100_000 {
        go(&gate, &format!("healthy {n}"), NOW).settle(Verdict::Alive, NOW);
    }
    assert!(gate.tracked_endpoints() < 2_000);
    assert_eq!(gate.circuit("open", NOW).state, CircuitState::Open);
    let opened = go(&gate, "one failure", NOW).settle(Verdict::Failed, NOW);
    assert_eq!(opened.map(|c| c.state), Some(CircuitState::Open));
    go(&gate, "busy", NOW).settle(Verdict::Failed, NOW);
    let opened = busy.settle(Verdict::Failed, NOW);
    assert_eq!(opened.map(|c| c.state), Some(CircuitState::Open));
}

//! Circuit breaker and rate limit together, as the dispatcher asks them.

#![expect(clippy::panic, reason = "helpers of tests may panic")]

use std::time::Duration;

use webhooks_core::{
    Admission, AdmissionDecision, Circuit, CircuitBreakerConfig, CircuitState, HeldBy, Permit,
    RateLimitConfig, Timestamp, Verdict,
};
use webhooks_resilience::ResilienceAdmission;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

const ONE_A_SECOND: RateLimitConfig = RateLimitConfig {
    requests_per_second: 1,
    burst_size: 1,
};

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn admission() -> ResilienceAdmission {
    ResilienceAdmission::new(CircuitBreakerConfig {
        failure_threshold: 2,
        success_threshold: 1,
        timeout_seconds: 10,
        half_open_max_requests: 1,
    })
}

fn go(admission: &ResilienceAdmission, endpoint: &str, now: Timestamp) -> Box<dyn Permit> {
    match admission.admit(endpoint, None, now) {
        AdmissionDecision::Go(permit) => permit,
        held @ AdmissionDecision::Wait { .. } => panic!("{endpoint} is held: {held:?}"),
    }
}

fn held(admission: AdmissionDecision) -> (Timestamp, HeldBy) {
    match admission {
        AdmissionDecision::Go(_) => panic!("not held"),
        AdmissionDecision::Wait { until, because } => (until, because),
    }
}

fn open(admission: &ResilienceAdmission, endpoint: &str) {
    for _ in 0..2 {
        go(admission, endpoint, NOW).settle(Verdict::Failed, NOW);
    }
}

#[test]
fn an_open_circuit_holds_its_endpoint_and_no_other() {
    let admission = admission();
    open(&admission, "dead");
    let decision = held(admission.admit("dead", None, NOW));
    assert_eq!(decision, (later(10), HeldBy::Circuit));
    assert_eq!(admission.circuit("dead", NOW).state, CircuitState::Open);
    drop(go(&admission, "alive", NOW));
    assert_eq!(admission.circuit("alive", NOW), Circuit::default());
    assert_eq!(admission.circuit("unknown", NOW), Circuit::default());
}

#[test]
fn without_a_token_the_probe_is_given_back() {
    let admission = admission();
    assert!(matches!(
        admission.admit("a", Some(ONE_A_SECOND), later(10)),
        AdmissionDecision::Go(_)
    ));
    open(&admission, "a");
    for _ in 0..3 {
        let decision = held(admission.admit("a", Some(ONE_A_SECOND), later(10)));
        assert_eq!(decision, (later(11), HeldBy::RateLimit));
    }
    let probe = go(&admission, "a", later(10));
    let decision = held(admission.admit("a", None, later(10)));
    assert_eq!(decision, (later(11), HeldBy::Circuit));
    assert_eq!(
        probe.settle(Verdict::Alive, later(10)),
        Some(Circuit::default())
    );
}

#[test]
fn an_open_circuit_takes_no_token() {
    let admission = admission();
    open(&admission, "a");
    let decision = held(admission.admit("a", Some(ONE_A_SECOND), later(9)));
    assert_eq!(decision, (later(10), HeldBy::Circuit));
    assert!(matches!(
        admission.admit("a", Some(ONE_A_SECOND), later(10)),
        AdmissionDecision::Go(_)
    ));
}

#[test]
fn a_forgotten_endpoint_starts_afresh_and_its_old_requests_do_not_count() {
    let admission = admission();
    let old = [(); 4].map(|()| go(&admission, "a", NOW));
    open(&admission, "a");
    admission.forget("a");
    assert_eq!(admission.circuit("a", NOW), Circuit::default());
    go(&admission, "a", NOW).settle(Verdict::Failed, NOW);
    for permit in old {
        assert_eq!(permit.settle(Verdict::Failed, NOW), None);
    }
    assert_eq!(admission.circuit("a", NOW), Circuit::default());
}

#[test]
fn to_forget_an_endpoint_gets_it_no_second_burst() {
    let admission = admission();
    drop(admission.admit("a", Some(ONE_A_SECOND), NOW));
    admission.forget("a");
    let decision = held(admission.admit("a", Some(ONE_A_SECOND), NOW));
    assert_eq!(decision, (later(1), HeldBy::RateLimit));
}

#[test]
fn healthy_endpoints_are_dropped_and_those_with_failures_are_kept() {
    let admission = admission();
    open(&admission, "open");
    go(&admission, "one failure", NOW).settle(Verdict::Failed, NOW);
    let busy = go(&admission, "busy", NOW);
    for n in 0..100_000 {
        go(&admission, &format!("healthy {n}"), NOW).settle(Verdict::Alive, NOW);
    }
    assert!(admission.tracked_endpoints() < 2_000);
    assert_eq!(admission.circuit("open", NOW).state, CircuitState::Open);
    let opened = go(&admission, "one failure", NOW).settle(Verdict::Failed, NOW);
    assert_eq!(opened.map(|c| c.state), Some(CircuitState::Open));
    go(&admission, "busy", NOW).settle(Verdict::Failed, NOW);
    let opened = busy.settle(Verdict::Failed, NOW);
    assert_eq!(opened.map(|c| c.state), Some(CircuitState::Open));
}

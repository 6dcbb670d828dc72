//! Two requests at once and one a second, and a circuit that opens at the second failure:
//! `cargo run -p webhooks-resilience --example limits`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use webhooks_core::{CircuitBreakerConfig, Clock, RateLimitConfig, Result, Verdict};
use webhooks_resilience::{CircuitBreaker, RateLimiter, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let limiter = RateLimiter::new(RateLimitConfig {
        requests_per_second: 1,
        burst_size: 2,
    });
    for n in 1..=3 {
        let may_go = limiter.check_rate_limit("endpoint_1").await?;
        println!("request {n} may go: {may_go}");
    }

    let breaker = CircuitBreaker::new(CircuitBreakerConfig {
        failure_threshold: 2,
        ..Default::default()
    });
    for n in 1..=3 {
        let now = SystemClock.now();
        match breaker.try_acquire(now) {
            Ok(permit) => match permit.settle(Verdict::Failed, now) {
                Some(circuit) => println!("failure {n}: the circuit is {:?} now", circuit.state),
                None => println!("failure {n}"),
            },
            Err(_) => println!("request {n} is held back"),
        }
    }
    Ok(())
}
